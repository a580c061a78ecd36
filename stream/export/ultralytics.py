"""Ultralytics JSON: of each frame the list that `Results.summary()` gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from configs.errors import SourceError
from engines.ops.skeleton import COCO, Skeleton
from stream.export.clip import Clip
from stream.export.foreign import Foreign, Pose
from stream.export.format import Format, write_list
from stream.records import Person


class _Box(Struct):
    x1: float
    y1: float
    x2: float
    y2: float


class _Keypoints(Struct):
    x: list[float]
    y: list[float]
    visible: list[float] | None = None


class _Detection(Struct):
    box: _Box
    confidence: float
    keypoints: _Keypoints
    track_id: int | None = None
    class_number: int = field(default=0, name="class")


def write(clip: Clip, path: Path) -> None:
    """Write a list whose places are the frames' indices; a lost frame is as one without people."""
    with path.open("wb") as file:
        write_list(file, _frames(clip))
        file.write(b"\n")


def read(path: Path, foreign: Foreign, skeleton: Skeleton = COCO) -> Clip:
    """The records of such a file: in Python `[result.summary() for result in results]`, in pixels.

    Raises:
        SourceError: it is of another form, or its people have other keypoints.
    """
    try:
        frames = msgspec.json.decode(path.read_bytes(), type=list[list[_Detection]])
    except (msgspec.MsgspecError, OSError) as error:
        raise SourceError(f"{path} is no list of frames of Ultralytics: {error}") from None
    for index, frame in enumerate(frames):
        for each in frame:
            if not len(each.keypoints.x) == len(each.keypoints.y) == skeleton.size:
                raise SourceError(
                    f"{path}: frame {index} has people of {len(each.keypoints.x)} keypoints, expected {skeleton.size}; "
                    "name the skeleton with --skeleton FILE"
                )

    def records() -> Iterator[Any]:
        return (foreign.record(index, list(map(_pose, frame))) for index, frame in enumerate(frames))

    return Clip(str(path), skeleton, records)


def _frames(clip: Clip) -> Iterator[list[dict[str, Any]]]:
    at = 0
    for record in clip:
        yield from ([] for _ in range(record.index - at))
        yield [_detection(person) for person in record.people]
        at = record.index + 1


def _detection(person: Person) -> dict[str, Any]:
    x, y, sure = zip(*person.keypoints, strict=True)
    return {
        "name": "person",
        "class": 0,
        "confidence": person.score,
        "box": dict(zip(("x1", "y1", "x2", "y2"), person.box, strict=True)),
        "track_id": person.id,
        "keypoints": {"x": x, "y": y, "visible": sure},
    }


def _pose(found: _Detection) -> Pose:
    box, keypoints = found.box, found.keypoints
    sure = keypoints.visible or [1.0] * len(keypoints.x)  # a model without visibility
    points = list(zip(keypoints.x, keypoints.y, sure, strict=True))
    return Pose(points, found.track_id or None, found.confidence, (box.x1, box.y1, box.x2, box.y2))


ULTRALYTICS = Format("ultralytics", "ultralytics.json", write)
