"""How far off keypoints are, over everybody who was found: PCK, PCKh, error by size and by visibility.

Letters: M matched people, K keypoints.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.evaluation.similarity import best, iou_to_truth
from engines.ops.people import People
from engines.train.target import Target

F = NDArray[np.floating[Any]]

IOU_MIN = 0.5
"""A detection belongs to a labelled person from this overlap of their boxes on."""
_PEOPLE_MAX = 20
NEAR = 0.5
"""A keypoint is right where its own OKS is at least this."""
HEIGHTS_PX = (0.0, 60.0, 100.0, 160.0, 224.0, np.inf)
"""Bounds of the rows by size: heights of the labelled box."""


@dataclass(frozen=True)
class Matched:
    """People who were found, beside their labels; and how many were not."""

    xy: F
    """(M, K, 2) where the keypoints were found, pixels."""
    confidence: F
    """(M, K) in 0..1."""
    truth_xy: F
    """(M, K, 2)"""
    visibility: NDArray[np.int8]
    """(M, K): 0 not labelled, 1 hidden, 2 visible."""
    areas_px2: F
    """(M,) of the labels."""
    boxes: F
    """(M, 4) of the labels."""
    missed_heights_px: F
    """Box heights of people with labelled keypoints whom nothing was found for."""

    def distances_px(self) -> F:
        """(M, K) from each keypoint to its label; NaN where there is none."""
        distances = np.linalg.norm(self.xy - self.truth_xy, axis=-1)
        return np.where(self.visibility > 0, distances, np.nan)

    def nearness(self, sigmas: F) -> F:
        """(M, K) the OKS of each keypoint alone; NaN where it is not labelled."""
        reach2 = 2 * self.areas_px2[:, None] * np.square(2 * sigmas)
        near: F = np.exp(-np.square(self.distances_px()) / np.maximum(reach2, np.spacing(1)))
        return near


def matched(pictures: Iterable[tuple[People, Target]]) -> Matched:
    """The people with labelled keypoints of all pictures, each with the detection that has its box.

    Detections choose, best-scored first, each the box it overlaps most of those still free.
    """
    pairs: list[tuple[People, Target]] = []
    missed: list[F] = [np.zeros(0)]
    for found, labelled in pictures:
        people = best(found, _PEOPLE_MAX)
        target = labelled.take(~labelled.crowd & (labelled.labelled > 0))
        which, whom = _pairs(iou_to_truth(people.boxes, target))
        pairs.append((people.take(which), target.take(whom)))
        left = target.take(np.setdiff1d(np.arange(len(target)), whom))
        missed.append(left.boxes[:, 3] - left.boxes[:, 1])
    if not pairs:
        raise ValueError("no picture was given; expected at least one")
    people_of, target_of = zip(*pairs, strict=True)
    return Matched(
        xy=np.concatenate([people.keypoints for people in people_of]).astype(float),
        confidence=np.concatenate([people.confidence for people in people_of]),
        truth_xy=np.concatenate([target.keypoints for target in target_of]).astype(float),
        visibility=np.concatenate([target.visibility for target in target_of]),
        areas_px2=np.concatenate([target.areas_px2 for target in target_of]),
        boxes=np.concatenate([target.boxes for target in target_of]),
        missed_heights_px=np.concatenate(missed),
    )


def pck(people: Matched, share: float = 0.2) -> F:
    """(K,) share of labelled keypoints found within `share` of the longer side of their person's box.

    Only people who were found count. NaN for a keypoint that is never labelled.
    Source: https://arxiv.org/abs/1309.1735 ("percentage of correct keypoints").
    """
    sides = people.boxes[:, 2:] - people.boxes[:, :2]
    return _share_within(people.distances_px(), share * sides.max(1))


def pckh(people: Matched, nose: int, shoulders: tuple[int, int], share: float = 0.5) -> F:
    """(K,) as `pck` within `share` of the head's length, of people with the nose and both shoulders labelled.

    COCO labels no top of the head: its length is taken to be that from the nose to the middle of the shoulders.
    Source: https://doi.org/10.1109/CVPR.2014.471 (MPII), which has the head's own box.
    """
    known = np.asarray((people.visibility[:, [nose, *shoulders]] > 0).all(1))
    middle = people.truth_xy[:, list(shoulders)].mean(1)
    heads_px = np.linalg.norm(people.truth_xy[:, nose] - middle, axis=-1)
    return _share_within(np.where(known[:, None], people.distances_px(), np.nan), share * heads_px)


@dataclass(frozen=True)
class Row:
    """How well the keypoints of one kind are found."""

    kind: str
    people: int
    """Those of this kind with labels; those missed are among them."""
    missed: int
    keypoints: int
    """Labelled ones of those who were found."""
    oks: float
    """Mean over these keypoints of the OKS of each alone; NaN where there is none."""
    right: float
    """Share of them with at least `NEAR`."""
    error: float
    """Their median distance as a share of the square root of the person's area."""


def rows(people: Matched, sigmas: F, heights_px: Sequence[float] = HEIGHTS_PX) -> list[Row]:
    """Rows by box height, then one for visible and one for hidden keypoints."""
    heights = people.boxes[:, 3] - people.boxes[:, 1]
    found = []
    for least, most in itertools.pairwise(heights_px):
        mine = (heights >= least) & (heights < most)
        missed = int(((people.missed_heights_px >= least) & (people.missed_heights_px < most)).sum())
        name = f"{least:.0f} px and more" if np.isinf(most) else f"{least:.0f}-{most:.0f} px"
        found.append(_row(people, sigmas, name, (people.visibility > 0) & mine[:, None], int(mine.sum()), missed))
    for name, value in (("visible", 2), ("hidden", 1)):
        which = people.visibility == value
        found.append(_row(people, sigmas, name, which, int(which.any(1).sum()), 0))
    return found


def _row(people: Matched, sigmas: F, kind: str, which: NDArray[np.bool_], found: int, missed: int) -> Row:
    near = people.nearness(sigmas)[which]
    error = (people.distances_px() / np.sqrt(np.maximum(people.areas_px2, 1))[:, None])[which]
    return Row(
        kind,
        people=found + missed,
        missed=missed,
        keypoints=len(near),
        oks=float(near.mean()) if len(near) else np.nan,
        right=float((near >= NEAR).mean()) if len(near) else np.nan,
        error=float(np.median(error)) if len(near) else np.nan,
    )


def _pairs(overlap: F) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Detections and the labelled people that they get, from (D, G) overlaps."""
    left = np.array(overlap)
    which, whom = [], []
    for detection in range(len(left)):
        if left.shape[1] and left[detection].max() >= IOU_MIN:
            person = int(left[detection].argmax())
            left[:, person] = -1
            which.append(detection)
            whom.append(person)
    return np.array(which, np.intp), np.array(whom, np.intp)


def _share_within(distances_px: F, reach_px: F) -> F:
    known = np.isfinite(distances_px)
    within = (distances_px <= reach_px[:, None]) & known
    count = known.sum(0)
    share: F = np.where(count > 0, within.sum(0) / np.maximum(count, 1), np.nan)
    return share
