"""What a device fails of, told in one line, and batches that fit into its memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from configs.errors import EngineError

T = TypeVar("T")
R = TypeVar("R")
_GROW_AFTER = 64


class NoMemory(EngineError):
    """A device's memory is exhausted."""


class Fitting:
    """Calls with as many items at once as fit into memory: half as many where they do not, later twice as many."""

    def __init__(self, notes: list[str]) -> None:
        """`notes`: gets a line when the size changes for the first time."""
        self._notes = notes
        self._most: int | None = None
        """Of one call; None: as many as there are."""
        self._went_well = 0

    def call(self, function: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """A result for each item.

        Raises:
            NoMemory: there is not enough for one.
        """
        results: list[R] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + (self._most or len(items))]
            try:
                results += function(part)
            except NoMemory:
                if len(part) == 1:
                    raise
                self._halve(len(part))
            else:
                self._succeed()
        return results

    def _halve(self, size: int) -> None:
        if self._most is None:
            self._notes.append(f"no memory for {size} frames at once: fewer from now on, more again after a while")
        self._most, self._went_well = size // 2, 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _succeed(self) -> None:
        self._went_well += 1
        if self._most and self._went_well >= _GROW_AFTER:
            self._most, self._went_well = 2 * self._most, 0


@contextlib.contextmanager
def device_errors(no_memory: str) -> Iterator[None]:
    """Raise EngineError with one line where a device fails, NoMemory with `no_memory` where its memory is exhausted."""
    try:
        yield
    except EngineError:
        raise
    except (RuntimeError, MemoryError) as error:
        text = str(error).strip().partition("\n")[0]
        # On a CPU torch raises no class of its own for it.
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or re.search(
            "allocate memory|ALLOC_FAILED", str(error)
        ):
            raise NoMemory(no_memory) from error
        if isinstance(error, torch.AcceleratorError) or re.search(r"(CUDA|cuDNN|CUBLAS|cuBLAS) error", text):
            raise EngineError(f"the GPU failed: {text}; use --device cpu, or another GPU") from error
        raise
