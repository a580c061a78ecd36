"""Which backend runs the network: the one named, or the best that this machine has.

Backends differ in the last digits of what they give, so `auto` must not waver from run to run. It measures once,
remembers what it chose for this machine, these versions and this model, and stays with it until the cache folder
is emptied. A run that must be repeated on another machine names its backend.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from configs.errors import EngineError
from engines import cache_folder
from engines.backends import eager, graphs, inductor, openvino, tensorrt
from engines.backends.measure import line, measure, once_s
from engines.backends.task import Chosen, Task
from engines.model.parts import Parts, Run

_BACKENDS: Final = ("eager", "openvino", "inductor", "tensorrt")
_CLEARLY = 0.8
"""A lower one is taken only when it needs less than this share of the time: noise must not decide."""


def choose(backend: str, task: Task) -> Chosen:
    """Build a network's parts.

    Raises:
        EngineError: the backend that was named cannot be built, or with "auto" none can.
    """
    chosen = _chosen(backend, task)
    return chosen._replace(notes=[*chosen.notes, *chosen.parts.notes])


def _chosen(backend: str, task: Task) -> Chosen:
    if backend != "auto":
        if backend not in _BACKENDS:
            raise EngineError(f"backend {backend} is not in this version: use one of {', '.join(_BACKENDS)}")
        return Chosen(_build(backend, task, named=True), backend, task.fp16, [])
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
    """Backends that `auto` tries, the one expected to be quickest first."""
    if task.device.type == "cpu":
        return ("openvino", "eager")
    # Building engines takes minutes, so nobody is made to wait for them who did not ask for it.
    there = tensorrt.usable(task.device) and not tensorrt.obstacle(task.network, task.device, task.dtype)
    return ("tensorrt", "eager") if there else ("eager",)


def _build(backend: str, task: Task, named: bool) -> Parts:
    match backend:
        case "openvino":
            return openvino.build(task.network, task.device, task.int8)
        case "tensorrt":
            absent = _refused(task) if named else _served_meanwhile(task)
            return tensorrt.build(task.network, task.device, task.dtype, absent)
        case "inductor":
            return inductor.build(task.network, task.device, task.usual_hw)
        case _:
            return _eager(task)


def _eager(task: Task) -> Parts:
    build = graphs.build if task.fp16 else eager.build
    return build(task.network, task.device)


def _refused(task: Task) -> tensorrt.Absent:
    def absent(name: str, image_hw: tuple[int, int]) -> Run:
        height, width = image_hw
        how = f": build it with {task.prebuild.command(image_hw)}," if task.prebuild else ": use"
        raise EngineError(f"backend tensorrt has no engine for pictures of {height}x{width}{how} or --backend auto")

    return absent


def _served_meanwhile(task: Task) -> tensorrt.Absent:
    other = functools.cache(lambda: _eager(task).run)

    def absent(name: str, image_hw: tuple[int, int]) -> Run:
        def run(images: Tensor) -> Sequence[Tensor]:
            if task.prebuild:
                task.prebuild.want(image_hw)  # each time: it may have been busy with another size before
            return other()[name](images)

        return run

    return absent


def _first(ladder: tuple[str, ...], task: Task) -> Chosen:
    """The first backend that can be built; on a GPU, where graphs are recorded in the first calls, that also runs."""
    notes: list[str] = []
    for name in ladder:
        try:
            parts = _build(name, task, named=False)
            if task.device.type == "cuda":
                _ = once_s(parts, task), once_s(parts, task)  # the second one records
            return Chosen(parts, name, task.fp16, notes)
        except (EngineError, RuntimeError) as error:  # torch's own: the GPU has no memory left
            notes.append(f"warning: {line(name, error)}")
    if task.fp16:
        lower = _first(("eager",), task._replace(fp16=False))
        return lower._replace(notes=[*notes, *lower.notes, "it computes in fp32"])
    raise EngineError("; ".join(notes))


def _quickest(ladder: tuple[str, ...], task: Task, memory: Path) -> Chosen:
    notes: list[str] = []
    built: list[Chosen] = []
    while ladder:
        try:
            chosen = _first(ladder, task)
        except EngineError as error:
            if not built:
                raise
            notes.append(str(error))
            break
        notes += chosen.notes
        built.append(chosen)
        ladder = ladder[ladder.index(chosen.backend) + 1 :]
    if len(built) == 1:
        return built[0]._replace(notes=[*notes, f"backend {built[0].backend}: no other can be used here"])
    times_s = measure(built, task, notes)
    best = 0
    for at in range(1, len(built)):
        best = at if times_s[at] < _CLEARLY * times_s[best] else best
    measured = ", ".join(f"{one.backend} {1e3 * t:.0f} ms" for one, t in zip(built, times_s, strict=True))
    notes.append(f"backend {built[best].backend}, measured: {measured}")
    notes += _remember(memory, built[best].backend)
    return built[best]._replace(notes=notes)


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
