"""Keypoints that grouping left out, looked for once more where their person is.

Letters: P people, K keypoints, h x w cells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.ops.candidates import I, Maps

_BEYOND = 0.2
"""They may lie beyond the others by this share of the longer side of the box around those."""


def highest_nearby(cells: I, has: NDArray[np.bool_], heat: Maps) -> I:
    """(P, K, 2) cells x, y: those given; of keypoints that a person lacks the map's highest cell around the person.

    Args:
        cells: (P, K, 2); of keypoints that are lacking without meaning.
        has: (P, K) which are there, one at least of each person.
        heat: (K, h, w) of each keypoint.
    """
    filled = cells.copy()
    for person, (left, top, right, bottom) in enumerate(_windows(cells, has, heat)):
        for kind in np.flatnonzero(~has[person]).tolist():
            window = heat[kind, top:bottom, left:right]
            y, x = divmod(int(window.argmax()), right - left)
            filled[person, kind] = left + x, top + y
    return filled


def _windows(cells: I, has: NDArray[np.bool_], heat: Maps) -> list[list[int]]:
    """Of each person left, top, and the cell behind right and bottom."""
    if not len(cells):
        return []
    end = np.array(heat.shape[:0:-1])
    low, high = np.where(has[..., None], cells, end).min(1), np.where(has[..., None], cells, -1).max(1)
    beyond = np.rint(_BEYOND * (high - low).max(1, keepdims=True)).astype(np.intp)
    windows: list[list[int]] = np.hstack((np.maximum(low - beyond, 0), np.minimum(high + beyond + 1, end))).tolist()
    return windows
