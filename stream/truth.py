"""What is true in a clip: the people of each frame, read from the forms that labels come in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from configs.errors import SourceError
from engines.ops.skeleton import Skeleton
from engines.train.dataset import Person, person_target
from engines.train.target import Target
from stream.export.clip import open_run
from stream.export.coco import VISIBLE_MIN

SCENE = "scene.json"
"""The truth of the demo's clip, beside it."""


class ScenePerson(Struct):
    """One person of a frame in a scene.json."""

    id: int
    box: tuple[float, float, float, float]
    """x1, y1, x2, y2."""
    area_px2: float
    crowd: bool
    """Hardly seen: whoever is found there counts neither way."""
    keypoints: list[tuple[float, float, float]]
    """x, y, visibility as COCO has it."""


class Scene(Struct):
    """A scene.json."""

    width: int
    height: int
    frames: list[list[ScenePerson]]


def read_truth(path: Path, skeleton: Skeleton) -> list[Target]:
    """The people of each frame, from the first frame on.

    Args:
        path: a scene.json; a keypoints.jsonl, or the folder of a run, whose keypoints of confidence 0.3 or more then
            count as true; or MOT Challenge's gt.txt, which holds boxes alone.
        skeleton: whose keypoints they are.

    Raises:
        SourceError: it is none of these.
    """
    if path.is_dir() or path.suffix == ".jsonl":
        return _of_records(path, skeleton)
    try:
        if path.suffix == ".json":
            return _of_scene(msgspec.json.decode(path.read_bytes(), type=Scene), skeleton)
        with path.open(newline="") as file:
            return _of_mot(list(csv.reader(file)), skeleton)
    except (OSError, ValueError, IndexError, msgspec.MsgspecError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(
            f"{path} is no truth: {reason}; give a scene.json, a keypoints.jsonl or MOT Challenge's gt.txt"
        ) from None


def _of_records(path: Path, skeleton: Skeleton) -> list[Target]:
    targets: list[Target] = []
    for record in open_run(path, skeleton):
        size_hw = (record.height, record.width)
        targets += [person_target(size_hw, [], skeleton.size) for _ in range(record.index - len(targets))]
        labelled = []
        for person in record.people:
            points = [(x, y, 2.0 if sure >= VISIBLE_MIN else 0.0) for x, y, sure in person.keypoints]
            labelled.append(_person(person.id, person.box, points))
        targets.append(person_target(size_hw, labelled, skeleton.size))
    return targets


def _of_scene(scene: Scene, skeleton: Skeleton) -> list[Target]:
    return [
        person_target(
            (scene.height, scene.width),
            [_person(each.id, each.box, each.keypoints, each.area_px2, each.crowd) for each in people],
            skeleton.size,
        )
        for people in scene.frames
    ]


def _of_mot(rows: Sequence[Sequence[str]], skeleton: Skeleton) -> list[Target]:
    """Frame, id, left, top, width, height, whether it counts, class (1: a walker); frames and pixels count from 1."""
    people: dict[int, list[Person]] = {}
    nothing = [(0.0, 0.0, 0.0)] * skeleton.size
    for row in rows:
        left, top, width, height = (float(cell) for cell in row[2:6])
        box = (left - 1, top - 1, left - 1 + width, top - 1 + height)
        ignored = (len(row) > 6 and float(row[6]) == 0) or (len(row) > 7 and float(row[7]) not in (1, -1))
        people.setdefault(int(row[0]) - 1, []).append(_person(int(row[1]), box, nothing, crowd=ignored))
    return [person_target((1, 1), people.get(index, []), skeleton.size) for index in range(max(people, default=-1) + 1)]


def _person(
    number: int,
    box: tuple[float, float, float, float],
    points: Sequence[tuple[float, float, float]],
    area_px2: float | None = None,
    crowd: bool = False,
) -> Person:
    xyv: np.ndarray[Any, np.dtype[np.float64]] = np.array(points, float)
    area = (box[2] - box[0]) * (box[3] - box[1]) if area_px2 is None else area_px2
    weights = (xyv[:, 2] > 0).astype(float)
    return Person(id=number, box=box, xyv=xyv, weights=weights, area_px2=max(area, 1.0), crowd=crowd)
