"""Which pose of a frame belongs to which person followed so far: arrays in, index pairs out.

Letters: R people expected from the frames before, N people found in this frame.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from configs.schema import TrackSettings
from engines.ops.boxes import iou
from engines.ops.oks import sure_oks
from engines.ops.people import People
from engines.ops.skeleton import Skeleton

F = NDArray[np.floating[Any]]
Ints = NDArray[np.intp]

MOTION_SPREAD = 2.0
"""How much wider than the skeleton's own the falloff is: that is how differently two annotators place a point, here a
limb has moved since and a network has placed both."""


def similarity(expected: People, found: People, skeleton: Skeleton) -> F:
    """Mean of box IoU and OKS of everybody expected with everybody found.

    IoU holds where keypoints are poor; OKS tells people apart whose boxes overlap. A network that takes somebody's
    front for the back swaps left and right: that is still the same person.

    Args:
        expected: R people.
        found: N people in the same pixels.
        skeleton: of both.

    Returns:
        (R, N) in 0..1.
    """
    sigmas, mirror = MOTION_SPREAD * skeleton.sigmas, list(skeleton.mirror)
    swapped = replace(found, keypoints=found.keypoints[:, mirror], confidence=found.confidence[:, mirror])
    oks = np.maximum(sure_oks(expected, found, sigmas), sure_oks(expected, swapped, sigmas))
    alike: F = (iou(expected.boxes, found.boxes) + oks) / 2
    return alike


def pair(alike: F, least: float) -> tuple[Ints, Ints]:
    """Choose the pairs whose similarities have the greatest sum.

    Args:
        alike: (R, N), at least 0.
        least: pairs less alike are never chosen.

    Returns:
        Rows and columns of the chosen pairs, rows rising; each row and each column at most once.
    """
    allowed = np.where(alike >= least, alike, 0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    chosen = alike[rows, columns] >= least
    return rows[chosen], columns[chosen]


def associate(alike: F, scores: F, known: NDArray[np.bool_], settings: TrackSettings) -> tuple[Ints, Ints]:
    """Give each person at most one pose, the sure poses first.

    Those scored `score_high` or above choose first. Those from `score_low` up then continue people who are
    known and were left over: a person half hidden is scored low but is still where she was expected.

    Args:
        alike: (R, N) in 0..1.
        scores: (N,) of the poses.
        known: (R,), whether a person may be continued by a low-scored pose.
        settings: `score_high`, `score_low` and `match_min` count here.

    Returns:
        Index pairs: of a person and of a pose; each at most once, in no particular order.

    Source: Zhang et al., ByteTrack, https://arxiv.org/abs/2110.06864
    """
    sure = np.flatnonzero(scores >= settings.score_high)
    rows, columns = pair(alike[:, sure], settings.match_min)
    left = np.setdiff1d(np.flatnonzero(known), rows)
    unsure = np.flatnonzero((scores >= settings.score_low) & (scores < settings.score_high))
    low_rows, low_columns = pair(alike[np.ix_(left, unsure)], settings.match_min)
    return np.concatenate([rows, left[low_rows]]), np.concatenate([sure[columns], unsure[low_columns]])
