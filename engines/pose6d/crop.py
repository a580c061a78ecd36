"""The squares of a picture that the network is shown, and back."""

from __future__ import annotations

import math

import numpy as np

from engines.pose6d.camera import F

SIDE_PX = 256
"""Of the network's input."""


def square(pixels: F, margin: float) -> F:
    """(2, 3) map to the network's input of the square about places (N, 2), `margin` times as long as their box."""
    low, high = pixels.min(0), pixels.max(0)
    return turned_square((low + high) / 2, margin * float((high - low).max()), 0.0)


def turned_square(middle: F, side_px: float, turn_rad: float) -> F:
    """(2, 3) affine map to the network's input of the square about a place (2,), turned clockwise."""
    scale = SIDE_PX / max(side_px, 1.0)
    cos, sin = scale * math.cos(turn_rad), scale * math.sin(turn_rad)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack((linear, SIDE_PX / 2 - linear @ middle))


def back(matrix: F, pixels: F) -> F:
    """(N, 2) pixels of the picture, of those of the network's input."""
    there: F = (pixels - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return there


def everywhere(size_hw: tuple[int, int]) -> list[F]:
    """Squares of three sizes that cover a picture and overlap by half: an object anywhere is whole in one of them."""
    height, width = size_hw
    found = []
    for side in (max(size_hw), min(size_hw), min(size_hw) / 2):
        columns, rows = (max(1, math.ceil(2 * length / side) - 1) for length in (width, height))
        xs, ys = (
            np.linspace(min(side, length) / 2, length - min(side, length) / 2, count) if count > 1 else [length / 2]
            for length, count in ((width, columns), (height, rows))
        )
        found += [turned_square(np.array([x, y]), side, 0.0) for y in ys for x in xs]
    return found
