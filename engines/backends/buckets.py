"""Any number of rows through programs that take fixed numbers of them.

A CUDA graph repeats what was captured: the same kernels on the same memory. So rows are copied into its memory, the
rest of which is padding, and what belongs to the padding is cut off what comes out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Program = Callable[[], Sequence[Tensor]]
"""Reads the memory that it was made for, and gives tensors with as many rows; their memory may be its own."""
Make = Callable[[Tensor], Program]
"""Makes a program that reads this memory: (bucket, ...) rows, zeros now."""


class Buckets:
    """Runs rows of one shape by the smallest program that takes them, made when it is first needed."""

    def __init__(self, make: Make, sizes: Sequence[int], memory: Callable[[int], Tensor]) -> None:
        """Remember what programs are made of.

        Args:
            make: makes a program.
            sizes: numbers of rows that there may be a program for, ascending.
            memory: gives so many rows of zeros, of the type and layout that the programs want.
        """
        self._make = make
        self._sizes = tuple(sizes)
        self._memory = memory
        self._programs: dict[int, tuple[Tensor, Program]] = {}

    def __call__(self, rows: Tensor) -> list[Tensor]:
        """Results of (N, ...) rows, N above 0; the next call may overwrite them."""
        most = self._sizes[-1]
        if len(rows) <= most:
            return self._run(rows)
        # What came of a group is overwritten by the next one, so it is copied first.
        pieces = [[found.clone() for found in self._run(group)] for group in rows.split(most)]
        return [torch.cat(each) for each in zip(*pieces, strict=True)]

    def _run(self, rows: Tensor) -> list[Tensor]:
        size = next(size for size in self._sizes if size >= len(rows))
        if size not in self._programs:
            memory = self._memory(size)
            self._programs[size] = (memory, self._make(memory))
        memory, program = self._programs[size]
        # In one pass: the type and the layout change on the way. The padding keeps what an earlier call left there:
        # it costs the same whatever it is, and no row sees another.
        memory[: len(rows)].copy_(rows)
        return [found[: len(rows)] for found in program()]


class BySize:
    """`Buckets` for each size of picture, those of the sizes that were used last: a folder may hold many.

    Programs are made when a size comes for the second time, for they take longer to make than to do without once.
    """

    def __init__(
        self,
        make: Callable[[tuple[int, int]], Buckets],
        directly: Callable[[Tensor], list[Tensor]],
        sizes_max: int,
    ) -> None:
        """Remember what programs are made of.

        Args:
            make: makes the programs for pictures of a height and a width.
            directly: does the same without a program.
            sizes_max: how many sizes programs are kept of, and how many that came once are remembered.
        """
        self._make, self._directly, self._sizes_max = make, directly, sizes_max
        self._kept: OrderedDict[tuple[int, int], Buckets] = OrderedDict()
        self._came_once: OrderedDict[tuple[int, int], None] = OrderedDict()

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Results of (B, C, H, W) pictures; the next call may overwrite them."""
        size = (images.shape[2], images.shape[3])
        if size not in self._kept and size not in self._came_once:
            _make_room(self._came_once, self._sizes_max)
            self._came_once[size] = None
            return self._directly(images)
        if size not in self._kept:
            del self._came_once[size]
            _make_room(self._kept, self._sizes_max)
            self._kept[size] = self._make(size)
        self._kept.move_to_end(size)
        return self._kept[size](images)


def _make_room(kept: OrderedDict[tuple[int, int], Any], sizes_max: int) -> None:
    while len(kept) >= sizes_max:
        kept.popitem(last=False)


def powers_of_two(first: int, last: int) -> tuple[int, ...]:
    """first, 2 * first, 4 * first, ... and last."""
    sizes = [first]
    while sizes[-1] < last:
        sizes.append(min(2 * sizes[-1], last))
    return tuple(sizes)
