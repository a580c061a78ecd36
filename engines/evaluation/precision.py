"""Average precision and recall as COCO counts them.

Source: https://cocodataset.org/#detection-eval and https://cocodataset.org/#keypoints-eval.
Letters: D detections and G people labelled in one picture, T thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""(T,) similarities that a detection must reach."""
RECALLS = np.linspace(0, 1, 101)
"""Where the precision is read."""
AREAS_PX2 = {"": (0.0, 1e10), "S": (0.0, 32.0**2), "M": (32.0**2, 96.0**2), "L": (96.0**2, 1e10)}
"""Least and most area of the people that count, by the letter that is put behind AP and AR."""


@dataclass(frozen=True)
class Scored:
    """The detections of one picture beside its labels."""

    similarity: F
    """(D, G) in 0..1; best-scored detection first."""
    scores: F
    """(D,) falling."""
    areas_px2: F
    """(D,) of the detections: one without a partner counts only in the range of its own area."""
    truth_areas_px2: F
    """(G,)"""
    ignore: NDArray[np.bool_]
    """(G,) who finds such a person is neither right nor wrong; so a crowd."""
    crowd: NDArray[np.bool_]
    """(G,) may be found any number of times."""


@dataclass(frozen=True)
class Curves:
    """How precision falls with recall."""

    precision: F
    """(T, 101) at `RECALLS`; 0 where that recall is not reached."""
    recall: F
    """(T,) the most that is reached."""


def summary(pictures: Sequence[Scored], ranges: Sequence[str] = ("", "M", "L")) -> dict[str, float]:
    """AP, AP50, AP75, AR, AR50, AR75 over everybody, and APM … by size; NaN where there is nobody of that size."""
    found = {}
    for letter in ranges:
        of = curves(pictures, AREAS_PX2[letter])
        found[f"AP{letter}"] = float(of.precision.mean()) if of else math.nan
        found[f"AR{letter}"] = float(of.recall.mean()) if of else math.nan
        if letter == "":
            for name, at in (("50", 0), ("75", 5)):
                found[f"AP{name}"] = float(of.precision[at].mean()) if of else math.nan
                found[f"AR{name}"] = float(of.recall[at]) if of else math.nan
    return found


def curves(pictures: Sequence[Scored], area_px2: tuple[float, float] = AREAS_PX2[""]) -> Curves | None:
    """Precision against recall of the people of a size; None: no such person is labelled."""
    matched = [_matched(picture, area_px2) for picture in pictures]
    people = sum(count for _, _, count in matched)
    if not people:
        return None
    scores = np.concatenate([picture.scores for picture in pictures])
    order = np.argsort(-scores, kind="stable")
    hit, counts = (np.concatenate([each[at] for each in matched], 1)[:, order] for at in (0, 1))
    right, wrong = (np.cumsum(each & counts, 1, dtype=float) for each in (hit, ~hit))
    recall = right / people
    precision = right / (right + wrong + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    padded = np.pad(envelope, ((0, 0), (0, 1)))  # a recall that is not reached has precision 0
    read = [row[np.searchsorted(reached, RECALLS)] for row, reached in zip(padded, recall, strict=True)]
    return Curves(np.array(read), recall[:, -1] if len(order) else np.zeros(len(THRESHOLDS)))


def _matched(picture: Scored, area_px2: tuple[float, float]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """(T, D) which detections find somebody, (T, D) which count at all, and how many people there are to be found.

    Each detection, best first, takes whom it is most alike of those not taken yet; whoever counts goes before
    everybody to be ignored, however alike.
    """
    least, most = area_px2
    ignore = picture.ignore | picture.crowd | (picture.truth_areas_px2 < least) | (picture.truth_areas_px2 > most)
    outside = (picture.areas_px2 < least) | (picture.areas_px2 > most)
    count, people = len(picture.scores), len(ignore)
    hit = np.zeros((len(THRESHOLDS), count), bool)
    counts = np.tile(~outside, (len(THRESHOLDS), 1))
    free = np.ones((len(THRESHOLDS), people), bool)
    rows = np.arange(len(THRESHOLDS))
    for at in range(count if people else 0):
        alike = picture.similarity[at]
        may = free & (alike >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None])
        worth = np.where(may, alike + 2 * ~ignore, -1)
        best = people - 1 - worth[:, ::-1].argmax(1)  # of equals the last, as COCO's own program does
        found = worth[rows, best] >= 0
        hit[:, at] = found
        counts[:, at] = np.where(found, ~ignore[best], counts[:, at])
        free[rows, best] &= ~found | picture.crowd[best]
    return hit, counts, int((~ignore).sum())
