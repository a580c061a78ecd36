"""A network as parts: what a backend compiles, and what it hands back, ready to run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

FP32_MAX: Final = 1e-3
"""Largest difference of a backend that computes in fp32, as a share of the reference's largest value."""
FP16_MAX: Final = 0.03
"""The same of one that computes in fp16 or TF32, which round to ten bits at every layer."""
INT8_MAX: Final = 0.25
"""The same where parts compute in 8 bits: shows what is broken. What 8 bits cost is measured elsewhere."""

Run = Callable[[Tensor], Sequence[Tensor]]
"""One part, ready to run: (N, *row), N above 0, to tensors of N rows each."""


def in_groups(run: Run, rows: Tensor, rows_max: int) -> Sequence[Tensor]:
    """Results of all rows, at most so many in one call."""
    if len(rows) <= rows_max:
        return run(rows)
    return [torch.cat(pieces) for pieces in zip(*(run(group) for group in rows.split(rows_max)), strict=True)]


class Rows(NamedTuple):
    """Numbers of rows in one call of a part."""

    usual: int
    """For one picture; a compiler optimises for it."""
    most: int
    """More are cut into several calls."""


@dataclass(frozen=True)
class PartSpec:
    """One part of a network, for a backend to compile."""

    module: nn.Module
    """(N, *row) to a flat tuple of tensors of N rows each."""
    row: tuple[int, int | None, int | None]
    """Channels, height and width of a row; height and width None: pictures of any size, multiples of 32."""
    rows: Rows
    results: tuple[str, ...]
    """Names of the tensors that it gives, in order."""
    channels_last_results: bool = False
    """Whether the results are best laid out channels last in memory."""
    channels_last: Callable[[], nn.Module] | None = None
    """The same part for rows (height, width, channels), where `module` reads them channel by channel; None: it reads
    them cell by cell, so that memory may be channels last."""

    @property
    def takes_pictures(self) -> bool:
        """Whether the height and width of a row are those of the pictures."""
        return None in self.row

    def row_of(self, image_hw: tuple[int, int]) -> tuple[int, int, int]:
        """Shape of a row where pictures have this height and width."""
        channels, height, width = self.row
        return channels, height or image_hw[0], width or image_hw[1]


class SideBySide(NamedTuple):
    """Several pictures at once, each by a thread of the caller's."""

    at_once: int
    """How many at once; at least 2."""
    make: Callable[[], Parts]
    """Parts for that: they may be called from several threads, and each call takes its share of the cores."""


@dataclass(frozen=True)
class Parts:
    """The parts of a network as a backend runs them."""

    run: Mapping[str, Run]
    """Name -> part."""
    device: torch.device
    """Device of their inputs."""
    tolerance: float = FP32_MAX
    """Largest difference from the reference that is rounding, as a share of the reference's largest value."""
    notes: tuple[str, ...] = ()
    """Lines to be shown: what this backend could not do as wished."""
    glue_threads: int | None = None
    """CPU threads that torch may use between these calls; None: as many as it is set to."""
    side_by_side: SideBySide | None = None
    """Parts to process several pictures concurrently; None: a batch is better."""

    @contextlib.contextmanager
    def glue(self) -> Iterator[None]:
        """Limit torch to the CPU threads that these parts bear beside them, while this lasts."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.glue_threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
