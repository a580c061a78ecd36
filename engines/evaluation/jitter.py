"""How much keypoints tremble from frame to frame.

Letters: T frames of one track, K keypoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]


def off_the_line(times_s: F, xy: F, sizes_px: F) -> F:
    """How far each keypoint lies from the straight line between the frames before and after it.

    Args:
        times_s: (T,), rising.
        xy: (T, K, 2) pixels; NaN where it does not count.
        sizes_px: (T,), above 0: square root of each box's area.

    Returns:
        (T - 2, K) distances as shares of the person's size; NaN where one of three does not count. Empty for T < 3.
    """
    if len(times_s) < 3:
        return np.zeros((0, xy.shape[1]))
    share = ((times_s[1:-1] - times_s[:-2]) / (times_s[2:] - times_s[:-2]))[:, None, None]
    line = xy[:-2] * (1 - share) + xy[2:] * share
    off: F = np.sqrt(np.square(xy[1:-1] - line).sum(-1)) / sizes_px[1:-1, None]
    return off
