"""Pictures whose pixels are not square, as DVDs and broadcasts have them: the network is shown square ones.

Records and overlay keep the pixels of the source, so that what counts them stays comparable with its picture.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.ops.people import F, People

Aspect = tuple[int, int]
"""Width to height of a pixel, as 64:45."""


def squared(picture: NDArray[np.uint8], aspect: Aspect) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with square pixels: the side along which they are longer grows, by linear interpolation."""
    x, y = _growth(aspect)
    if x > 1:
        return _grown(picture, 1, x)
    return _grown(picture, 0, y) if y > 1 else picture


def unsquared(people: People, aspect: Aspect) -> People:
    """The people of a squared picture in pixels of the picture that it was made from."""
    if aspect[0] == aspect[1]:
        return people
    x, y = _growth(aspect)
    xy = np.array([x, y], np.float32)
    boxes: F = np.divide(people.boxes, np.tile(xy, 2))
    keypoints: F = np.divide(people.keypoints, xy)
    spread_px: F | None = None if people.spread_px is None else np.divide(people.spread_px, xy)
    return replace(people, boxes=boxes, keypoints=keypoints, spread_px=spread_px)


def square_size(width: int, height: int, aspect: Aspect) -> tuple[int, int]:
    """Width and height of a squared picture."""
    x, y = _growth(aspect)
    return round(width * x), round(height * y)


def _growth(aspect: Aspect) -> tuple[float, float]:
    """Factors along x and y, one of them 1."""
    ratio = aspect[0] / aspect[1]
    return max(ratio, 1.0), max(1 / ratio, 1.0)


def _grown(picture: NDArray[np.uint8], axis: int, factor: float) -> NDArray[np.uint8]:
    """The picture `factor` times as long along an axis; pixel centres lie at halves."""
    length = picture.shape[axis]
    at = np.clip((np.arange(round(length * factor)) + 0.5) / factor - 0.5, 0, length - 1)
    first = np.minimum(at.astype(np.intp), max(length - 2, 0))
    second = np.minimum(first + 1, length - 1)
    share = (at - first).astype(np.float32).reshape((-1, 1) if axis else (-1, 1, 1))
    below, above = picture.take(first, axis).astype(np.float32), picture.take(second, axis)
    grown: NDArray[np.uint8] = np.rint(below + (above - below) * share).astype(np.uint8)
    return grown
