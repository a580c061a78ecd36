"""COCO: results as its evaluation program reads them, and annotations as labelling tools and trainings do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip
from stream.export.format import Format, write_list
from stream.records import Person, Record

_PERSON = 1
"""COCO's number of the category."""
VISIBLE_MIN = 0.3
"""A keypoint of lower confidence counts as not labelled."""


def write_results(clip: Clip, path: Path) -> None:
    """Write a detection an entry; the image's id is the frame's index."""
    with path.open("wb") as file:
        write_list(file, (_result(record, person) for record in clip for person in record.people))


def write_annotations(clip: Clip, path: Path) -> None:
    """Write images, annotations and the category; keypoints below `VISIBLE_MIN` are 0, 0, 0."""
    with path.open("wb") as file:
        file.write(b'{"images": ')
        write_list(file, (_image(record) for record in clip))
        file.write(b',\n"annotations": ')
        write_list(file, _annotations(clip))
        file.write(b',\n"categories": ' + msgspec.json.encode([_category(clip.skeleton)]) + b"}\n")


def _result(record: Record, person: Person) -> dict[str, Any]:
    return {
        "image_id": record.index,
        "category_id": _PERSON,
        "keypoints": [value for point in person.keypoints for value in point],
        "score": person.score,
        "bbox": _xywh(person),
        "track_id": person.id,
    }


def _image(record: Record) -> dict[str, Any]:
    name = f"{record.source}_{record.index:06d}.jpg"
    return {"id": record.index, "file_name": name, "width": record.width, "height": record.height}


def _annotations(clip: Clip) -> Iterator[dict[str, Any]]:
    number = 0
    for record in clip:
        for person in record.people:
            number += 1
            points = [(x, y, 2) if sure >= VISIBLE_MIN else (0, 0, 0) for x, y, sure in person.keypoints]
            box = _xywh(person)
            yield {
                "id": number,
                "image_id": record.index,
                "category_id": _PERSON,
                "keypoints": [value for point in points for value in point],
                "num_keypoints": sum(1 for point in points if point[2]),
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
                "score": person.score,
                "track_id": person.id,
            }


def _category(skeleton: Skeleton) -> dict[str, Any]:
    limbs = [[one + 1, other + 1] for one, other in skeleton.limbs]  # COCO counts from 1
    return {
        "id": _PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.names),
        "skeleton": limbs,
    }


def _xywh(person: Person) -> list[float]:
    x1, y1, x2, y2 = person.box
    return [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]


COCO_RESULTS = Format("coco", "coco_results.json", write_results)
COCO_ANNOTATIONS = Format("coco-annotations", "coco_annotations.json", write_annotations)
