"""Packed canvases: crops around people, scaled and laid side by side until a picture is full.

On a CPU every pixel costs the same, whether it shows somebody or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from engines.train import augment
from engines.train.target import F, Sample, Target, nobody

_SCALE_MAX = 1.5
"""A crop is not enlarged further: that only blurs."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """How a canvas is filled."""

    size_hw: tuple[int, int] = (320, 576)
    """Of the canvas, in pixels."""
    height_px: tuple[float, float] = (48.0, 280.0)
    """Least and most height of the person in the middle of a crop, on the canvas; drawn evenly in its logarithm."""
    margin: tuple[float, float] = (0.1, 0.4)
    """Least and most that a crop goes beyond the person's box, to each side, as a share of the box's longer side."""
    labelled_min: int = 4
    """A crop is made around people with at least so many labelled keypoints."""
    crops: int = 40
    """How many are made for a canvas; those that find no room are for nothing."""


def packed(
    draw: Callable[[], Sample], how: Packing, rng: np.random.Generator, mirror: Sequence[int], keypoints: int
) -> Sample:
    """A canvas full of crops of people.

    Enough crops to fill it are laid from the largest to the smallest; then more are tried where there is room left.
    Who reaches beyond a crop is cut with it. What is left of the canvas is grey.

    Args:
        draw: gives a picture with its labels, another one each time.
        how: sizes and margins.
        rng: all chance.
        mirror: of each keypoint the one that takes its place in a mirror; half of the crops are mirrored.
        keypoints: how many there are, K.
    """
    height, width = how.size_hw
    canvas = augment.cropped(Sample(np.zeros((0, 0, 3), np.uint8), nobody((0, 0), keypoints)), 0, 0, how.size_hw)
    targets: list[Target] = []
    room = Room(width, height)
    crops = [crop for crop in (around_somebody(draw(), how, rng) for _ in range(how.crops)) if crop]
    areas = [math.prod(crop.size_hw) for crop in crops]
    count = int(np.searchsorted(np.cumsum(areas), height * width)) + 1
    order = sorted(range(min(count, len(crops))), key=lambda at: -areas[at])
    for at in [*order, *range(count, len(crops))]:
        place = room.place(crops[at].size_hw)
        if place is None:
            continue
        crop = crops[at].cut_out()
        if rng.random() < 0.5:
            crop = augment.mirrored(crop, mirror)
        x, y = place
        crop_h, crop_w = crop.target.size_hw
        canvas.pixels[y : y + crop_h, x : x + crop_w] = crop.pixels
        targets.append(crop.target.shifted(x, y, how.size_hw))
    return Sample(canvas.pixels, replace(canvas.target.joined(targets), collage=True))


class Crop(NamedTuple):
    """A part of a picture, not yet cut out."""

    sample: Sample
    x_px: int
    y_px: int
    part_hw: tuple[int, int]
    """Height and width of the part in the picture."""
    size_hw: tuple[int, int]
    """Height and width that it is scaled to."""

    def cut_out(self) -> Sample:
        """The part as a picture of its own."""
        return augment.resized(augment.cropped(self.sample, self.x_px, self.y_px, self.part_hw), self.size_hw)


def around_somebody(sample: Sample, how: Packing, rng: np.random.Generator) -> Crop | None:
    """The part of a picture around one of its people; None: nobody in it is fit to be shown."""
    target = sample.target
    fit = np.flatnonzero(~target.crowd & (target.labelled >= how.labelled_min))
    if not len(fit):
        return None
    box = target.boxes[rng.choice(fit)]
    wanted_px = math.exp(rng.uniform(*np.log(how.height_px)))
    side_px = float((box[2:] - box[:2]).max())
    scale = min(wanted_px / max(float(box[3] - box[1]), 1.0), _SCALE_MAX)
    margins = rng.uniform(*how.margin, 4) * side_px * (-1, -1, 1, 1)
    old_h, old_w = target.size_hw
    x0, y0, x1, y1 = np.clip(np.round(box + margins), 0, (old_w, old_h, old_w, old_h)).astype(int).tolist()
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    size_hw = (max(1, round((y1 - y0) * scale)), max(1, round((x1 - x0) * scale)))
    return Crop(sample, x0, y0, (y1 - y0, x1 - x0), size_hw)


class Room:
    """The room left in a rectangle that things are laid into, never to be moved.

    Source: "maximal rectangles, best short side fit", J. Jylänki, A Thousand Ways to Pack the Bin, 2010.
    """

    def __init__(self, width: int, height: int) -> None:
        self._free = [(0, 0, width, height)]
        """x1, y1, x2, y2 of each largest rectangle without anything in it; they overlap."""

    def place(self, size_hw: tuple[int, int]) -> tuple[int, int] | None:
        """The x, y of a thing's top left corner, from now on taken; None: it fits nowhere."""
        height, width = size_hw
        fits = [
            (min(x2 - x1 - width, y2 - y1 - height), y1, x1)
            for x1, y1, x2, y2 in self._free
            if x2 - x1 >= width and y2 - y1 >= height
        ]
        if not fits:
            return None
        _, y, x = min(fits)
        parts = [part for free in self._free for part in _without(free, (x, y, x + width, y + height))]
        self._free = [part for at, part in enumerate(parts) if not _within_another(part, at, parts)]
        return x, y


_Rectangle = tuple[int, int, int, int]


def _without(free: _Rectangle, taken: _Rectangle) -> list[_Rectangle]:
    """The largest rectangles of one that do not meet another."""
    x1, y1, x2, y2 = free
    left, top, right, bottom = taken
    if left >= x2 or right <= x1 or top >= y2 or bottom <= y1:
        return [free]
    parts = [(x1, y1, left, y2), (right, y1, x2, y2), (x1, y1, x2, top), (x1, bottom, x2, y2)]
    return [part for part in parts if part[2] > part[0] and part[3] > part[1]]


def _within_another(part: _Rectangle, at: int, parts: Sequence[_Rectangle]) -> bool:
    """Whether a rectangle lies in another one; of equals all but the first do."""
    return any(
        other[0] <= part[0] and other[1] <= part[1] and other[2] >= part[2] and other[3] >= part[3]
        for number, other in enumerate(parts)
        if other != part or number < at
    )


def people_share(sample: Sample) -> tuple[float, float]:
    """How well a picture is used: people with keypoints a megapixel, and the share of pixels within their boxes."""
    height, width = sample.target.size_hw
    seen = sample.target.take(~sample.target.crowd & (sample.target.labelled > 0))
    inside = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in _rounded(seen.boxes):
        inside[y1:y2, x1:x2] = True
    return len(seen) / (height * width / 1e6), float(inside.mean())


def _rounded(boxes: F) -> list[list[int]]:
    corners: list[list[int]] = np.round(np.maximum(boxes, 0)).astype(int).tolist()
    return corners
