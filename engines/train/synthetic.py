"""Drawn people whose keypoints are exact: pictures to train on, and scenes whose identities are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.ops.skeleton import COCO
from engines.train import pictures, scene
from engines.train.body import Pose, any_pose
from engines.train.dataset import Person, person_target
from engines.train.figure import Looks, Place, any_looks, painted, seen
from engines.train.paint import Canvas, Capsule, blank, capsules, cloth, worn
from engines.train.target import Sample

F = NDArray[np.floating[Any]]

_SEEN_MIN = 0.15
"""Of whom less than this share of the pixels is seen counts as crowd: too little to be learned."""
_OCCLUDER = -2


@dataclass(frozen=True, kw_only=True)
class Still:
    """What drawn pictures hold."""

    size_hw: tuple[int, int] = (320, 576)
    people: tuple[int, int] = (1, 6)
    """Fewest and most."""
    height_px: tuple[float, float] = (50.0, 300.0)
    """Least and most height of a person; drawn evenly in its logarithm."""
    occluders: int = 2
    """At most so many bars stand in front of people."""


def picture(how: Still, rng: np.random.Generator) -> Sample:
    """A picture of people who stand about, by chance; numbers begin at 1."""
    height, width = how.size_hw
    canvas = blank(background(rng, how.size_hw))
    pitch = float(rng.uniform(0, 0.35))
    people = []
    for number in range(int(rng.integers(how.people[0], how.people[1] + 1))):
        tall = math.exp(rng.uniform(*np.log(how.height_px)))
        ground = (float(rng.uniform(0, width)), float(rng.uniform(min(0.8 * tall, height), height + 0.3 * tall)))
        place = Place(ground, tall, 4 * ground[1], pitch)
        people.append((number + 1, any_looks(rng), any_pose(rng), place))
    sample = _drawn(canvas, people, rng, how.occluders)
    return sample


class Scene:
    """People who walk; the same seed shows the same."""

    def __init__(self, seed: int, size_hw: tuple[int, int], people: int, duration_s: float) -> None:
        rng = np.random.default_rng(seed)
        self._size_hw = size_hw
        self._background = background(rng, size_hw)
        self._walks = scene.crossing(rng, size_hw, people, duration_s)
        self._looks = [any_looks(rng) for _ in self._walks]

    def frame(self, time_s: float) -> Sample:
        """The picture at a time, with the people who are in it; `ids` say who is who."""
        people = []
        for walk, looks in zip(self._walks, self._looks, strict=True):
            at = scene.moment(walk, time_s, self._size_hw, scene.HORIZON)
            people.append((at.id, looks, at.pose, Place(at.ground_xy, at.height_px, 4 * at.ground_xy[1], 0.12)))
        return _drawn(blank(self._background), people, None, 0)


_Drawn = tuple[int, Looks, Pose, Place]


def _drawn(canvas: Canvas, people: Sequence[_Drawn], rng: np.random.Generator | None, occluders: int) -> Sample:
    """The picture when everybody has been painted, the farthest first."""
    order = sorted(people, key=lambda each: each[3].near_px)
    keypoints, whole = [], []
    for number, looks, pose, place in order:
        keypoints.append(painted(canvas, number, looks, pose, place))
        whole.append(int((canvas.owner == number).sum()))
    if rng is not None:
        for _ in range(int(rng.integers(0, occluders + 1))):
            _occlude(canvas, rng)
    labelled = []
    for (number, _, _, place), places, pixels in zip(order, keypoints, whole, strict=True):
        person = _person(canvas, number, places, place, pixels)
        if person:
            labelled.append(person)
    size_hw = (canvas.z.shape[0], canvas.z.shape[1])
    shown = np.clip(canvas.pixels + 0.5, 0, 255).astype(np.uint8)
    return Sample(shown, person_target(size_hw, labelled, len(COCO.names)))


def _person(canvas: Canvas, number: int, keypoints: F, place: Place, whole: int) -> Person | None:
    """The labels of somebody, box and area of what is seen of them; None: nothing of them is in the picture."""
    visibility = seen(canvas, keypoints, place.height_px)
    mine = canvas.owner == number
    area = int(mine.sum())
    if not area:
        return None
    rows, columns = np.flatnonzero(mine.any(1)), np.flatnonzero(mine.any(0))
    return Person(
        id=number,
        box=(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),
        xyv=np.column_stack((keypoints[:, :2], visibility)),
        weights=(visibility > 0).astype(float),
        area_px2=float(area),
        crowd=area < _SEEN_MIN * whole or not (visibility == 2).any(),
    )


def _occlude(canvas: Canvas, rng: np.random.Generator) -> None:
    """A bar in front of everybody, such as a post or a rail."""
    height, width = canvas.z.shape
    thick = float(rng.uniform(0.01, 0.05) * width)
    x, y = rng.uniform(0, width), rng.uniform(0.3, 1.0) * height
    upright = rng.random() < 0.6
    reach = np.array([0.0, height, 0.0]) if upright else np.array([rng.uniform(0.1, 0.4) * width, 0.0, 0.0])
    middle = np.array([x, y, 100.0 * height])
    surface = capsules([Capsule(middle - reach, middle + reach, thick, thick)], (height, width))
    if surface:
        canvas.paint(surface, worn(cloth(rng, rng.uniform(20, 230, 3)), surface, 0.0), _OCCLUDER)


def background(rng: np.random.Generator, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """A place without anybody: two tones that meet at a horizon, clouds of colour of all sizes, and boxes."""
    height, width = size_hw
    field = np.empty((height, width, 3), np.float32)
    horizon = int(rng.uniform(0.1, 0.7) * height)
    for part in (field[:horizon], field[horizon:]):
        part[:] = rng.uniform(50, 210) + rng.normal(0, 25, 3)
    for _ in range(int(rng.integers(0, 14))):
        x0, y0 = int(rng.integers(width)), int(rng.integers(height))
        w, h = (int(side * rng.uniform(0.03, 0.4)) + 1 for side in (width, height))
        pattern = cloth(rng, rng.uniform(15, 240, 3))
        part = field[y0 : y0 + h, x0 : x0 + w]
        size = int(rng.integers(1, 5))
        rows, columns = (np.arange(count) // size % len(pattern) for count in part.shape[:2])
        part[:] = pattern[rows[:, None], columns]
    for cells in (4, 16, 64):
        grey, colour = rng.uniform(0, 1, (cells, cells * 2, 1)), rng.uniform(0, 1, (cells, cells * 2, 3))
        coarse = (255 * (0.75 * grey + 0.25 * colour)).astype(np.uint8)
        field += (pictures.resized(coarse, size_hw).astype(np.float32) - 127.5) * np.float32(rng.uniform(0.05, 0.35))
    return np.clip(field, 0, 255).astype(np.uint8)
