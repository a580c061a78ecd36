"""The square that the network sees of a picture, and back."""

from __future__ import annotations

import math

import numpy as np

from engines.pose6d.camera import F

SIDE_PX = 256
"""Of the network's input."""


def square(low: F, high: F, margin: float) -> F:
    """(2, 3) affine map of a picture's pixels to the network's: the square about a box, `margin` times as long."""
    return turned_square((low + high) / 2, margin * float((high - low).max()), 0.0)


def turned_square(middle: F, side_px: float, turn_rad: float) -> F:
    """(2, 3) affine map of the square about a place to the network's input, turned clockwise."""
    scale = SIDE_PX / side_px
    cos, sin = scale * math.cos(turn_rad), scale * math.sin(turn_rad)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack((linear, SIDE_PX / 2 - linear @ middle))


def back(matrix: F, pixels: F) -> F:
    """Pixels (..., 2) of the picture from those of the network's input."""
    there: F = (pixels - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return there
