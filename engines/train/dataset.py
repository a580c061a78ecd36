"""Pictures with labelled people, whatever form the labels came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from configs.errors import SourceError
from engines.train.target import Target

_HELD_BACK_ONE_OF = 8
_SHOWN = 5


@dataclass(frozen=True)
class Picture:
    """A picture file and its labels."""

    id: int
    path: Path
    target: Target
    collection: str
    """Which part of the data set it belongs to; empty: nothing is said."""


@dataclass(frozen=True)
class Dataset:
    """The pictures of a data set that can be used."""

    pictures: tuple[Picture, ...]
    keypoint_names: tuple[str, ...]
    problems: tuple[str, ...] = ()
    """A line for each label or picture that was left out, and why."""

    def summary(self) -> list[str]:
        """Lines to be shown: how much there is, how much was left out, and the first reasons."""
        people = sum(len(picture.target) for picture in self.pictures)
        lines = [f"{len(self.pictures)} pictures, {people} people"]
        if self.problems:
            lines.append(f"left out for faults: {len(self.problems)}")
            lines += [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  and {len(self.problems) - _SHOWN} more")
        return lines

    def only(self, pictures: Iterable[Picture]) -> Dataset:
        """The same data set with other pictures."""
        return replace(self, pictures=tuple(pictures))


def split(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """The pictures to train on, and those held back for validation."""
    return (
        dataset.only(picture for picture in dataset.pictures if not held_back(picture)),
        dataset.only(picture for picture in dataset.pictures if held_back(picture)),
    )


def held_back(picture: Picture) -> bool:
    """Whether a picture is never trained on: one in eight by its number; of Open Images none.

    Keypoints there were drawn by a teacher, and validation is on truth alone. Of the pictures that the bundled weights
    were trained from, these are the 431 that their card tells of.
    """
    return picture.collection != "openimages" and picture.id % _HELD_BACK_ONE_OF == 0


def mirror_of(names: Sequence[str]) -> tuple[int, ...]:
    """Of each keypoint the one that takes its place in a mirror: `left_` and `right_` change, others stay.

    Raises:
        SourceError: a side has no counterpart.
    """
    index = {name: at for at, name in enumerate(names)}
    mirror = []
    for name in names:
        other = _other_side(name)
        if other not in index:
            raise SourceError(f"keypoint {name} has no {other} beside it: nothing takes its place in a mirror")
        mirror.append(index[other])
    return tuple(mirror)


def person_target(size_hw: tuple[int, int], people: Sequence[Person], keypoints: int) -> Target:
    """The labels of one picture from those of each person."""
    count = len(people)
    return Target(
        size_hw,
        boxes=np.array([person.box for person in people], np.float32).reshape(count, 4),
        keypoints=np.array([person.xyv[:, :2] for person in people], np.float32).reshape(count, keypoints, 2),
        visibility=np.array([person.xyv[:, 2] for person in people], np.int8).reshape(count, keypoints),
        weights=np.array([person.weights for person in people], np.float32).reshape(count, keypoints),
        areas_px2=np.array([person.area_px2 for person in people], np.float32),
        crowd=np.array([person.crowd for person in people], bool),
        ids=np.array([person.id for person in people], np.int64),
    )


@dataclass(frozen=True)
class Person:
    """One annotation, checked."""

    id: int
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels."""
    xyv: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    """(K, 3): x, y in pixels and visibility 0, 1 or 2."""
    weights: np.ndarray[tuple[int], np.dtype[np.float64]]
    """(K,): see `Target`."""
    area_px2: float
    crowd: bool


def _other_side(name: str) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        if name.startswith(f"{side}_"):
            return other + name.removeprefix(side)
    return name
