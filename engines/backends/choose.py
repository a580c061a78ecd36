"""Which backend runs the network: the one named, or the best that this machine has.

Backends differ in the last digits of what they give, so `auto` must not waver from run to run. It measures once,
remembers what it chose for this machine, these versions and this model, and stays with it until the cache folder
is emptied. A run that must be repeated on another machine names its backend.
"""

from __future__ import annotations

import hashlib
import math
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Collection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

import torch

from engines import cache_folder
from engines.backends import eager, graphs, inductor, openvino, tensorrt
from engines.backends.parts import Parts
from engines.model.architecture import Architecture
from engines.model.keypoint_rcnn import BOX_CELLS, KEYPOINT_CELLS, KeypointRCNN
from engines.weights import EngineError

_BACKENDS: Final = ("eager", "openvino", "inductor", "tensorrt")
_CLEARLY = 0.8
"""A lower one is taken only when it needs less than this share of the time: noise must not decide."""
_ROUNDS = 5
_PICTURE_HW = (320, 576)
_BOXES, _PEOPLE = 100, 6
"""What is measured: one small picture, so that it takes a second or two whatever the model."""


class Task(NamedTuple):
    """What is to be run, and how."""

    network: KeypointRCNN
    architecture: Architecture
    device: torch.device
    fp16: bool = False
    """Compute in fp16, on a GPU."""
    int8: Collection[str] = ()
    """Parts that may be computed in 8 bits."""


class Chosen(NamedTuple):
    """A backend, ready to run."""

    parts: Parts
    backend: str
    """Its name."""
    notes: list[str]
    """Lines to be shown: what `auto` chose and why, and what it could not use. Empty for a named backend."""


def choose(backend: str, task: Task) -> Chosen:
    """Build a network's parts.

    Raises:
        EngineError: the backend that was named cannot be built, or with "auto" none can.
    """
    if backend != "auto":
        if backend not in _BACKENDS:
            raise EngineError(f"backend {backend} is not in this version: use one of {', '.join(_BACKENDS)}")
        return Chosen(_build(backend, task), backend, [])
    ladder = _ladder(task)
    memory = cache_folder.folder() / "backends" / _key(task)
    remembered = _recall(memory)
    if remembered in ladder:
        chosen = _first((remembered, *(name for name in ladder if name != remembered)), task)
        chosen.notes.append(
            f"backend {chosen.backend}" + (", as chosen before" if chosen.backend == remembered else "")
        )
        return chosen
    return _quickest(ladder, task, memory)


def _ladder(task: Task) -> tuple[str, ...]:
    """Give what `auto` tries: the one to be expected quickest first."""
    if task.device.type == "cpu":
        return ("openvino", "eager")
    # Building engines takes minutes, so nobody is made to wait for them who did not ask for it.
    return ("tensorrt", "eager") if tensorrt.built(task.network, task.device, _dtype(task)) else ("eager",)


def _dtype(task: Task) -> torch.dtype:
    return torch.float16 if task.fp16 else torch.float32


def _build(backend: str, task: Task) -> Parts:
    match backend:
        case "openvino":
            return openvino.build(task.network, task.device, task.int8)
        case "tensorrt":
            return tensorrt.build(task.network, task.device, _dtype(task))
        case "inductor":
            return inductor.build(task.network, task.device)
        case _:
            build = graphs.build if task.fp16 else eager.build
            return build(task.network, task.device)


def _first(ladder: tuple[str, ...], task: Task) -> Chosen:
    notes: list[str] = []
    for name in ladder:
        try:
            return Chosen(_build(name, task), name, notes)
        except EngineError as error:
            notes.append(f"warning: {error}")
    raise EngineError("; ".join(notes))


def _quickest(ladder: tuple[str, ...], task: Task, memory: Path) -> Chosen:
    notes: list[str] = []
    built: list[Chosen] = []
    while ladder:
        chosen = _first(ladder, task)
        notes += chosen.notes
        built.append(chosen)
        ladder = ladder[ladder.index(chosen.backend) + 1 :]
    if len(built) == 1:
        return built[0]._replace(notes=[*notes, f"backend {built[0].backend}: no other can be used here"])
    times_s = _measure([one.parts for one in built], task.architecture)
    best = 0
    for at in range(1, len(built)):
        best = at if times_s[at] < _CLEARLY * times_s[best] else best
    measured = ", ".join(f"{one.backend} {1e3 * t:.0f} ms" for one, t in zip(built, times_s, strict=True))
    notes.append(f"backend {built[best].backend}, measured: {measured}")
    notes += _remember(memory, built[best].backend)
    return built[best]._replace(notes=notes)


def _measure(candidates: list[Parts], architecture: Architecture) -> list[float]:
    """Seconds that each needs for one picture; taken in turn, so that other work on the machine meets all alike.

    One that cannot run it takes forever.
    """
    taken: list[list[float]] = [[] for _ in candidates]
    with torch.inference_mode():
        for _ in range(1 + _ROUNDS):
            for times, parts in zip(taken, candidates, strict=True):
                times.append(math.inf if math.inf in times else _once(parts, architecture.channels))
    return [statistics.median(times[1:]) for times in taken]


def _once(parts: Parts, channels: int) -> float:
    images = torch.zeros(1, 3, *_PICTURE_HW, device=parts.device)
    boxes = torch.zeros(_BOXES, channels, BOX_CELLS, BOX_CELLS, device=parts.device)
    people = torch.zeros(_PEOPLE, channels, KEYPOINT_CELLS, KEYPOINT_CELLS, device=parts.device)
    try:
        with parts.glue():
            start = time.perf_counter()
            if parts.device.type == "cpu":  # TensorRT would build an engine for pictures of this size first
                parts.features(images)
            logits, _ = parts.box_head(boxes)
            maps = parts.keypoint_head(people)
            (logits.sum() + maps.sum()).item()  # waits for a GPU
            return time.perf_counter() - start
    except EngineError:
        return math.inf


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


def _key(task: Task) -> str:
    packages = [f"{name} {_version(name)}" for name in ("torch", "openvino", "torch-tensorrt")]
    how = f"{torch.get_num_threads()} {task.fp16} {sorted(task.int8)}"
    what = (_machine(task.device), how, task.architecture.name, *packages)
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
