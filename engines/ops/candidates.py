"""Heat maps of a whole picture to candidates: places that may be somebody's keypoint.

Letters: K keypoints, M candidates, h x w cells; the centre of the first cell lies at 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]
I = NDArray[np.intp]  # noqa: E741
Maps = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Candidates:
    """M candidates, those of the first keypoint first."""

    kind: I
    """(M,) which keypoint."""
    xy: F
    """(M, 2) in cells, between them."""
    scores: F
    """(M,) in 0..1."""
    cells: I
    """(M, 2) the highest cell: x, y."""

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, kind: int) -> I:
        """Indices of one keypoint's candidates."""
        return np.arange(*np.searchsorted(self.kind, (kind, kind + 1)))


def candidates(heat: Maps, score_min: float, most: int) -> Candidates:
    """The local maxima of heat maps (K, h, w) in 0..1: no neighbour of the eight is higher.

    Args:
        heat: one map a keypoint.
        score_min: lower ones are none.
        most: of each keypoint at most so many, the highest.
    """
    keypoints, h, w = heat.shape
    padded = np.full((keypoints, h + 2, w + 2), -np.inf, heat.dtype)
    padded[:, 1:-1, 1:-1] = heat
    across = np.maximum(np.maximum(padded[:, :, :-2], padded[:, :, 2:]), padded[:, :, 1:-1])
    highest = np.maximum(np.maximum(across[:, :-2], across[:, 2:]), across[:, 1:-1])
    kind, y, x = np.unravel_index(np.flatnonzero((heat >= highest) & (heat > score_min)), heat.shape)
    order = np.lexsort((-heat[kind, y, x], kind))
    rank = np.arange(len(kind)) - np.searchsorted(kind[order], kind[order])
    chosen = order[rank < most]
    kind, y, x = kind[chosen], y[chosen], x[chosen]
    around = padded[kind[:, None], (y + 1)[:, None] + [0, 0, -1, 1], (x + 1)[:, None] + [-1, 1, 0, 0]]
    here = heat[kind, y, x]
    shift = np.stack((_vertex(around[:, 0], here, around[:, 1]), _vertex(around[:, 2], here, around[:, 3])), 1)
    cells = np.stack((x, y), 1)
    return Candidates(kind, (cells + shift).astype(np.float32), here.astype(np.float32), cells)


def _vertex(before: Maps, here: Maps, after: Maps) -> Maps:
    """Where a parabola through the logarithms of three neighbours has its peak: exact for a Gaussian; 0 at an edge."""
    at_edge = ~(np.isfinite(before) & np.isfinite(after))
    tiny = np.finfo(np.float32).tiny
    low, middle, high = (
        np.log(np.maximum(np.where(np.isfinite(each), each, 1), tiny)) for each in (before, here, after)
    )
    bend = low - 2 * middle + high
    shift = np.where(bend < 0, (low - high) / (2 * np.where(bend < 0, bend, 1)), 0)
    vertex: Maps = np.where(at_edge, 0, np.clip(shift, -0.5, 0.5))
    return vertex
