"""How long backends need for the same picture."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Final

import torch

from configs.errors import EngineError
from engines.backends.task import Chosen, Task
from engines.model.parts import Parts

_ROUNDS: Final = 5
_SMALL_HW: Final = (320, 576)
"""What a CPU is given, so that it takes a second or two whatever the model."""
_ROWS_MAX: Final = 100
"""Rows of a part at most."""


def measure(candidates: Sequence[Chosen], task: Task, notes: list[str]) -> list[float]:
    """Seconds that each backend needs for a picture; run in turn, so that other load on the machine meets all alike.

    One that cannot run it takes forever, and a note says why.
    """
    taken: list[list[float]] = [[] for _ in candidates]
    for _ in range(1 + _ROUNDS):
        for times, one in zip(taken, candidates, strict=True):
            if math.inf in times:
                continue
            try:
                times.append(once_s(one.parts, task))
            except (EngineError, RuntimeError) as error:
                times.append(math.inf)
                notes.append(f"warning: {line(one.backend, error)}")
    return [math.inf if math.inf in times else statistics.median(times[1:]) for times in taken]


@torch.inference_mode()
def once_s(parts: Parts, task: Task) -> float:
    """Seconds that one picture takes.

    Raises:
        EngineError, RuntimeError: it cannot be run.
    """
    image_hw = _SMALL_HW if task.device.type == "cpu" else task.usual_hw
    rows = {
        name: torch.zeros(min(_ROWS_MAX, part.rows.usual), *part.row_of(image_hw), device=parts.device)
        for name, part in task.network.parts().items()
    }
    with parts.glue():
        start = time.perf_counter()
        results = [parts.run[name](some)[-1].sum() for name, some in rows.items()]
        sum(results, torch.zeros((), device=parts.device)).item()  # waits for a GPU
        return time.perf_counter() - start


def line(backend: str, error: Exception) -> str:
    """One line: why a backend cannot be used."""
    text = " ".join(str(error).split())
    return text if isinstance(error, EngineError) else f"backend {backend} cannot run this network: {text}"
