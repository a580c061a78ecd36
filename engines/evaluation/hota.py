"""HOTA: how well people are found and kept apart, in one number.

Letters: A thresholds, G labelled people and T tracks of the whole clip.
Source: J. Luiten and others, https://arxiv.org/abs/2009.07736
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engines.evaluation.tracking import Frame

F = NDArray[np.floating[Any]]

_THRESHOLDS = np.arange(0.05, 0.99, 0.05)
_ROUNDING = np.finfo(float).eps


class Hota(NamedTuple):
    """Means over all thresholds of similarity, each 0..1; NaN where there is neither a track nor anybody."""

    hota: float
    """Root of detection times association, threshold by threshold."""
    detection: float
    """DetA: people and tracks that fit each other, of all that are there."""
    association: float
    """AssA: of each fitting pair, how much of the track's and of the person's frames are one."""


def hota(frames: Sequence[Frame]) -> Hota:
    """HOTA of a clip's frames in their order."""
    people = _places(frame.truth for frame in frames)
    tracks = _places(frame.tracks for frame in frames)
    if not people and not tracks:
        return Hota(np.nan, np.nan, np.nan)
    placed = [
        (np.array([people[each] for each in frame.truth], int), np.array([tracks[each] for each in frame.tracks], int))
        for frame in frames
    ]
    counts = np.zeros(len(people)), np.zeros(len(tracks))
    for truth, found in placed:
        counts[0][truth] += 1
        counts[1][found] += 1
    either = counts[0][:, None] + counts[1][None]  # (G, T) frames of the one and of the other
    overlap = _overlap(frames, placed, either.shape)
    matches = _matches(frames, placed, overlap / (either - overlap))
    true = matches.sum((1, 2))  # (A,)
    detection = true / (counts[0].sum() + counts[1].sum() - true)
    together = matches / np.maximum(1, either - matches)
    association = (matches * together).sum((1, 2)) / np.maximum(1, true)
    return Hota(float(np.sqrt(detection * association).mean()), float(detection.mean()), float(association.mean()))


def _places(numbers: Iterable[Sequence[int]]) -> dict[int, int]:
    """Identity -> its row or column."""
    return {number: at for at, number in enumerate(sorted({each for some in numbers for each in some}))}


def _overlap(frames: Sequence[Frame], placed: Sequence[tuple[Any, Any]], shape: tuple[int, ...]) -> F:
    """(G, T) how much each person and track are in the same place, beside others who could be, over the clip."""
    overlap = np.zeros(shape)
    for frame, (truth, found) in zip(frames, placed, strict=True):
        similarity = frame.similarity.T
        rivals = similarity.sum(0)[None] + similarity.sum(1)[:, None] - similarity
        overlap[np.ix_(truth, found)] += np.divide(similarity, rivals, np.zeros_like(similarity), where=rivals > 0)
    return overlap


def _matches(frames: Sequence[Frame], placed: Sequence[tuple[Any, Any]], alike: F) -> F:
    """(A, G, T) in how many frames each person is matched with each track, those first who are together elsewhere."""
    matches = np.zeros((len(_THRESHOLDS), *alike.shape))
    for frame, (truth, found) in zip(frames, placed, strict=True):
        if not len(truth) or not len(found):
            continue
        similarity = frame.similarity.T
        rows, columns = linear_sum_assignment(-alike[np.ix_(truth, found)] * similarity)
        near = similarity[rows, columns] >= _THRESHOLDS[:, None] - _ROUNDING  # (A, pairs)
        matches[:, truth[rows], found[columns]] += near
    return matches
