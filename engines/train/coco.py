"""COCO keypoint files: any data set in that form.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from configs.errors import SourceError
from engines.train.dataset import Dataset, Person, Picture, person_target

TEACHER_SCORE_MIN = 0.3
"""A teacher's keypoint of a lower score is not labelled."""


def read_coco(
    labels: Path, pictures: Path, *, score_min: float = TEACHER_SCORE_MIN, truth_only: bool = False
) -> Dataset:
    """The pictures of a COCO keypoint file that has one category, or whose first one is meant.

    Labels that are no labels are named in `problems` and left out; picture files are not opened.

    Args:
        labels: the JSON file.
        pictures: the folder that its `file_name`s start from.
        score_min: `keypoint_scores` (a teacher's) below this leave a keypoint unlabelled; others weigh it.
        truth_only: leave out what no person has drawn: a teacher's keypoints; and a detector's boxes count as crowd.

    Raises:
        SourceError: it is no such file, or nothing in it can be used.
    """
    content = _content(labels)
    category = content["categories"][0]
    names = tuple(str(name) for name in category.get("keypoints", ()))
    if not names:
        raise SourceError(f"{labels}: its category {category.get('name', '')!r} names no keypoints")
    people, problems = _people(content, category["id"], len(names), score_min, truth_only)
    found = []
    for image in content["images"]:
        try:
            size_hw = (int(image["height"]), int(image["width"]))
            path = pictures / image["file_name"]
            number = int(image["id"])
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"image {image!r:.60}: {type(error).__name__} {error}")
            continue
        target = person_target(size_hw, people.pop(number, []), len(names))
        found.append(Picture(number, path, target, str(image.get("coco_split", ""))))
    problems += [f"image {number}: {len(its)} people of an image that is not listed" for number, its in people.items()]
    if not found:
        raise SourceError(f"{labels}: no image in it can be used; {problems[0] if problems else 'it lists none'}")
    return Dataset(tuple(found), names, tuple(problems))


def _content(labels: Path) -> dict[str, Any]:
    try:
        content = json.loads(labels.read_bytes())
    except OSError as error:
        raise SourceError(f"{labels} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SourceError(f"{labels} is no JSON: {error}") from error
    missing = [key for key in ("images", "annotations", "categories") if not _is_list(content, key)]
    if missing or not content["categories"]:
        raise SourceError(f"{labels} is no COCO keypoint file: it has no {', '.join(missing or ['category'])}")
    loaded: dict[str, Any] = content
    return loaded


def _is_list(content: object, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), list)


def _people(
    content: dict[str, Any], category: int, keypoints: int, score_min: float, truth_only: bool
) -> tuple[dict[int, list[Person]], list[str]]:
    """The people of each image by its number, and what is wrong with the others."""
    people: dict[int, list[Person]] = defaultdict(list)
    problems = []
    for annotation in content["annotations"]:
        try:
            if annotation["category_id"] == category:
                person = _person(annotation, keypoints, score_min)
                people[int(annotation["image_id"])].append(_truth(person, annotation) if truth_only else person)
        except (KeyError, TypeError, ValueError) as error:
            number = annotation.get("id", "?") if isinstance(annotation, dict) else "?"
            what = f"has no {error}" if isinstance(error, KeyError) else str(error)
            problems.append(f"annotation {number}: {what}")
    return people, problems


def _person(annotation: dict[str, Any], keypoints: int, score_min: float) -> Person:
    x, y, w, h = (float(number) for number in annotation["bbox"])
    if not (all(map(math.isfinite, (x, y, w, h))) and w > 0 and h > 0):
        raise ValueError(f"bbox is {annotation['bbox']}; expected x, y, width and height above 0")
    xyv = np.array(annotation.get("keypoints", [0.0] * 3 * keypoints), float)
    if xyv.shape != (3 * keypoints,) or not np.isfinite(xyv).all():
        raise ValueError(f"keypoints are {xyv.size} numbers; expected {3 * keypoints} finite ones")
    xyv = xyv.reshape(keypoints, 3)
    if not np.isin(xyv[:, 2], (0, 1, 2)).all():
        raise ValueError("a visibility is not 0, 1 or 2")
    scores = annotation.get("keypoint_scores")
    weights = np.ones(keypoints) if scores is None else np.array(scores, float)
    if weights.shape != (keypoints,) or not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError(f"keypoint_scores are {weights.size} numbers; expected {keypoints} in 0..1")
    if scores is not None:
        xyv[:, 2] = np.where(weights >= score_min, 2, 0)
    return Person(
        id=int(annotation["id"]),
        box=(x, y, x + w, y + h),
        xyv=xyv,
        weights=np.where(xyv[:, 2] > 0, weights, 0.0),
        area_px2=float(annotation.get("area", w * h)),
        crowd=bool(annotation.get("iscrowd", 0)),
    )


def _truth(person: Person, annotation: dict[str, Any]) -> Person:
    taught = str(annotation.get("source", "")).startswith("teacher:")
    detected = str(annotation.get("box_source", "")).startswith("detector:")
    return Person(
        id=person.id,
        box=person.box,
        xyv=person.xyv * (1, 1, 0) if taught else person.xyv,
        weights=person.weights * 0 if taught else person.weights,
        area_px2=person.area_px2,
        crowd=person.crowd or detected,
    )
