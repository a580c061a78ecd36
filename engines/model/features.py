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
    """(B, C, h, w) each: those that RoI features are pooled from."""
    objectness: tuple[Tensor, ...]
    """(B, 3, h, w) each: the logit that an anchor holds something; one level more than `levels`."""
    deltas: tuple[Tensor, ...]
    """(B, 12, h, w) each: box deltas, four an anchor."""

    @staticmethod
    def of(flat: Sequence[Tensor]) -> Features:
        """The same nested: L levels, L + 1 objectness, L + 1 deltas."""
        levels = (len(flat) - 2) // 3
        return Features(tuple(flat[:levels]), tuple(flat[levels : 2 * levels + 1]), tuple(flat[2 * levels + 1 :]))
