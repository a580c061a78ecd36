"""What every backend makes: the three parts of the network, ready to call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engines.model.keypoint_rcnn import Features


class SideBySide(NamedTuple):
    """Several pictures at once, each by a thread of the caller's."""

    at_once: int
    """How many at once; at least 2."""
    make: Callable[[], Parts]
    """Gives the parts for that: they may be called from several threads, and each call takes its share of the cores."""


@dataclass(frozen=True)
class Parts:
    """Three callables; the first dimension of what they are given may be of any size above 0."""

    features: Callable[[Tensor], Features]
    """(B, 3, H, W) normalised pictures, H and W multiples of 32."""
    box_head: Callable[[Tensor], tuple[Tensor, Tensor]]
    """(N, C, 7, 7) cut-outs to (N, 2) class logits and (N, 8) box deltas."""
    keypoint_head: Callable[[Tensor], Tensor]
    """(N, C, 14, 14) cut-outs to (N, 17, 56, 56) heat-map logits."""
    device: torch.device
    """Where they want what they are given."""
    glue_threads: int | None = None
    """CPU threads that torch may use between these calls; None: as many as it is set to."""
    side_by_side: SideBySide | None = None
    """How several pictures are better worked on than in one batch; None: a batch it is."""

    @contextlib.contextmanager
    def glue(self) -> Iterator[None]:
        """Let torch use as many CPU threads as these parts bear beside them, while this lasts."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.glue_threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
