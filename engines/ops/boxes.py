"""How much boxes overlap.

Letters: R reference boxes, N boxes; a box is x1, y1, x2, y2 in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]


def iou(ref_boxes: F, boxes: F) -> F:
    """Overlap of every reference box with every box: intersection over union.

    Args:
        ref_boxes: (R, 4).
        boxes: (N, 4), the same pixels.

    Returns:
        (R, N) in 0..1; 0 where neither box has an area.
    """
    top_left = np.maximum(ref_boxes[:, None, :2], boxes[None, :, :2])
    bottom_right = np.minimum(ref_boxes[:, None, 2:], boxes[None, :, 2:])
    both = np.maximum(bottom_right - top_left, 0).prod(-1)  # (R, N) px²
    either = _areas_px2(ref_boxes)[:, None] + _areas_px2(boxes)[None] - both
    overlap: F = both / np.maximum(either, np.finfo(either.dtype).tiny)
    return overlap


def _areas_px2(boxes: F) -> F:
    areas: F = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(-1)
    return areas
