"""What the network sees in pictures: feature levels, and what its proposal head says of every anchor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors of a cell."""


class Features(NamedTuple):
    """What the network sees in B pictures, finest level first."""

    levels: tuple[Tensor, ...]
    """(B, C, h, w) each: those that RoI features are pooled from; the first may serve keypoints alone."""
    objectness: tuple[Tensor, ...]
    """(B, 3, h, w) each: the logit that an anchor holds something; the last level is the last of `levels`, halved."""
    deltas: tuple[Tensor, ...]
    """(B, 12, h, w) each: box deltas, four an anchor."""

    @staticmethod
    def of(flat: Sequence[Tensor], proposing: int) -> Features:
        """The same nested: levels, then objectness and deltas of as many levels as propose."""
        ends = len(flat) - 2 * proposing, len(flat) - proposing
        return Features(tuple(flat[: ends[0]]), tuple(flat[ends[0] : ends[1]]), tuple(flat[ends[1] :]))
