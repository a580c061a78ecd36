"""How alike detections and labelled people are, as COCO says it.

Letters: D detections and G people labelled in one picture, K keypoints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.evaluation.precision import Scored
from engines.ops.oks import oks
from engines.ops.people import People
from engines.train.target import Target

F = NDArray[np.floating[Any]]

KEYPOINT_PEOPLE_MAX, BOX_PEOPLE_MAX = 20, 100
"""How many detections of a picture count, best first."""


def by_keypoints(people: People, target: Target, sigmas: F) -> Scored:
    """A picture's detections beside its labels, compared by OKS; who has no keypoint labelled is ignored."""
    people = best(people, KEYPOINT_PEOPLE_MAX)
    sides = np.ptp(people.keypoints.astype(float), axis=1) if len(people) else np.zeros((0, 2))
    return Scored(
        similarity=oks_to_truth(people, target, sigmas),
        scores=people.scores,
        areas_px2=sides.prod(1),
        truth_areas_px2=target.areas_px2,
        ignore=target.crowd | (target.labelled == 0),
        crowd=target.crowd,
    )


def by_keypoint(people: People, target: Target, sigmas: F, keypoint: int) -> Scored:
    """As `by_keypoints`, where one keypoint alone is looked at."""
    only = np.zeros_like(target.visibility)
    only[:, keypoint] = target.visibility[:, keypoint]
    return by_keypoints(people, replace(target, visibility=only), sigmas)


def by_boxes(people: People, target: Target) -> Scored:
    """A picture's detections beside its labels, compared by the overlap of their boxes."""
    people = best(people, BOX_PEOPLE_MAX)
    return Scored(
        similarity=iou_to_truth(people.boxes, target),
        scores=people.scores,
        areas_px2=_areas_px2(people.boxes.astype(float)),
        truth_areas_px2=target.areas_px2,
        ignore=target.crowd,
        crowd=target.crowd,
    )


def oks_to_truth(people: People, target: Target, sigmas: F) -> F:
    """(D, G) OKS over the labelled keypoints.

    Of a person without any: over how far each keypoint of the detection lies beyond the box, made thrice as wide and
    high.
    """
    keypoints, areas = people.keypoints.astype(float), np.maximum(target.areas_px2.astype(float), np.spacing(1))
    seen = target.visibility > 0
    similarity = oks(target.keypoints.astype(float), keypoints, areas, sigmas, seen.astype(float)).T
    for person in np.flatnonzero(~seen.any(1)):
        box = target.boxes[person].astype(float)
        sides = box[2:] - box[:2]
        inside = np.clip(keypoints, box[:2] - sides, box[2:] + sides)
        beyond2 = np.square(keypoints - inside).sum(-1)  # (D, K) px²
        similarity[:, person] = np.exp(-beyond2 / (2 * areas[person] * np.square(2 * sigmas))).mean(1)
    return similarity


def iou_to_truth(boxes: F, target: Target) -> F:
    """(D, G) intersection over union; over the detection's own area where the truth is a crowd."""
    found, truth = boxes.astype(float), target.boxes.astype(float)
    top_left = np.maximum(found[:, None, :2], truth[None, :, :2])
    bottom_right = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    both = np.maximum(bottom_right - top_left, 0).prod(-1)
    own = _areas_px2(found)[:, None]
    either = np.where(target.crowd, own, own + _areas_px2(truth) - both)
    overlap: F = both / np.maximum(either, np.finfo(float).tiny)
    return overlap


def best(people: People, most: int) -> People:
    """The best-scored people, best first; of equals the earlier first."""
    return people.take(np.argsort(-people.scores, kind="stable")[:most])


def _areas_px2(boxes: F) -> F:
    areas: F = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(-1)
    return areas
