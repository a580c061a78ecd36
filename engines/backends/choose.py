"""Which backend runs the network: the one named, or the best that this machine has.

Backends differ in the last digits of what they give, so `auto` must not waver from run to run. It measures once,
remembers what it chose for this machine, these versions and this model, and stays with it until the cache folder
is emptied. A run that must be repeated on another machine names its backend.
"""

from __future__ import annotations

import hashlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

import torch

from engines import cache_folder
from engines.backends import eager, inductor, openvino, tensorrt
from engines.backends.parts import Parts
from engines.model.architecture import Architecture
from engines.model.keypoint_rcnn import BOX_CELLS, KEYPOINT_CELLS, KeypointRCNN
from engines.weights import EngineError

Build = Callable[[KeypointRCNN, torch.device], Parts]

_BACKENDS: Final[dict[str, Build]] = {
    "eager": eager.build,
    "inductor": inductor.build,
    "openvino": openvino.build,
    "tensorrt": tensorrt.build,
}
_LADDER: Final[dict[str, tuple[str, ...]]] = {"cpu": ("openvino", "eager"), "cuda": ("eager",)}
"""What `auto` tries on each kind of device: the one to be expected quickest first."""
_CLEARLY = 0.8
"""A lower one is taken only when it needs less than this share of the time: noise must not decide."""
_ROUNDS = 5
_PICTURE_HW = (320, 576)
_BOXES, _PEOPLE = 100, 6
"""What is measured: one small picture, so that it takes a second or two whatever the model."""


class Chosen(NamedTuple):
    """A backend, ready to run."""

    parts: Parts
    backend: str
    """Its name."""
    notes: list[str]
    """Lines to be shown: what `auto` chose and why, and what it could not use. Empty for a named backend."""


def choose(backend: str, network: KeypointRCNN, architecture: Architecture, device: torch.device) -> Chosen:
    """Build a network's parts.

    Raises:
        EngineError: the backend that was named cannot be built, or with "auto" none can.
    """
    if backend != "auto":
        if backend not in _BACKENDS:
            raise EngineError(f"backend {backend} is not in this version: use one of {', '.join(_BACKENDS)}")
        return Chosen(_BACKENDS[backend](network, device), backend, [])
    memory = cache_folder.folder() / "backends" / _key(architecture, device)
    remembered = _recall(memory)
    if remembered in _LADDER[device.type]:
        ladder = (remembered, *(name for name in _LADDER[device.type] if name != remembered))
        chosen = _first(ladder, network, device)
        chosen.notes.append(
            f"backend {chosen.backend}" + (", as chosen before" if chosen.backend == remembered else "")
        )
        return chosen
    return _quickest(network, architecture, device, memory)


def _first(ladder: tuple[str, ...], network: KeypointRCNN, device: torch.device) -> Chosen:
    notes: list[str] = []
    for name in ladder:
        try:
            return Chosen(_BACKENDS[name](network, device), name, notes)
        except EngineError as error:
            notes.append(f"warning: {error}")
    raise EngineError("; ".join(notes))


def _quickest(network: KeypointRCNN, architecture: Architecture, device: torch.device, memory: Path) -> Chosen:
    built: list[Chosen] = []
    left = _LADDER[device.type]
    notes: list[str] = []
    while left:
        chosen = _first(left, network, device)
        notes += chosen.notes
        built.append(chosen)
        left = left[left.index(chosen.backend) + 1 :]
    if len(built) == 1:
        return built[0]._replace(notes=[*notes, f"backend {built[0].backend}: no other can be used here"])
    times_s = _measure([one.parts for one in built], architecture)
    best = 0
    for at in range(1, len(built)):
        best = at if times_s[at] < _CLEARLY * times_s[best] else best
    measured = ", ".join(f"{one.backend} {1e3 * t:.0f} ms" for one, t in zip(built, times_s, strict=True))
    notes.append(f"backend {built[best].backend}, measured: {measured}")
    notes += _remember(memory, built[best].backend)
    return built[best]._replace(notes=notes)


def _measure(candidates: list[Parts], architecture: Architecture) -> list[float]:
    """Seconds that each needs for one picture; taken in turn, so that other work on the machine meets all alike."""
    taken: list[list[float]] = [[] for _ in candidates]
    with torch.inference_mode():
        for _ in range(1 + _ROUNDS):
            for times, parts in zip(taken, candidates, strict=True):
                times.append(_once(parts, architecture.channels))
    return [statistics.median(times[1:]) for times in taken]


def _once(parts: Parts, channels: int) -> float:
    images = torch.zeros(1, 3, *_PICTURE_HW, device=parts.device)
    boxes = torch.zeros(_BOXES, channels, BOX_CELLS, BOX_CELLS, device=parts.device)
    people = torch.zeros(_PEOPLE, channels, KEYPOINT_CELLS, KEYPOINT_CELLS, device=parts.device)
    start = time.perf_counter()
    parts.features(images)
    logits, _ = parts.box_head(boxes)
    maps = parts.keypoint_head(people)
    (logits.sum() + maps.sum()).item()  # waits for a GPU
    return time.perf_counter() - start


def _recall(memory: Path) -> str:
    try:
        return memory.read_text()
    except (OSError, UnicodeDecodeError):
        return ""  # never chosen before, or not readable: then it is measured anew


def _remember(memory: Path, backend: str) -> list[str]:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=memory.parent, delete=False) as scratch:
            scratch.write(backend)
        os.replace(scratch.name, memory)
    except OSError as error:
        return [f"warning: the choice of backend cannot be kept for the next run: {error}"]
    return []


def _key(architecture: Architecture, device: torch.device) -> str:
    packages = [f"{name} {_version(name)}" for name in ("torch", "openvino")]
    what = (_machine(device), str(torch.get_num_threads()), architecture.name, *packages)
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{names[0] if names else platform.processor()} {platform.machine()} {capability}"
