"""A bottom-up network's maps to people. Letters: B pictures, N people, K keypoints, h x w cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from engines.bottom_up.tags import tags_at
from engines.model.found import Finder, Found
from engines.model.transfer import to_host
from engines.ops.candidates import Candidates, I, candidates
from engines.ops.grouping import by_limbs, by_tags
from engines.ops.missing import highest_nearby

F = NDArray[np.floating[Any]]

STRIDE: Final = 4
"""Pixels of a cell of the maps."""
_SCORE_MIN: Final = 0.3
"""Of a candidate: weaker peaks found on held-back crowds make more people of one than they find."""
_NOTHING: Final = -50.0
"""A logit where nothing is."""
_KEYPOINTS_MIN: Final = 3
"""Fewer make nobody."""
_MARGIN: Final = 0.1
"""A box goes beyond its keypoints by this share of its longer side."""
_TRUNK_FIRST: Final = (5, 6, 11, 12, 0, 1, 2, 3, 4, 7, 8, 13, 14, 9, 10, 15, 16)
"""COCO's keypoints in the order in which tags are looked at: those of the trunk are seen best."""


class _People(NamedTuple):
    """Of one picture, best first; pixels of the network's input."""

    scores: F
    boxes: F
    xy: F
    confidence: F
    logits: F


@dataclass(frozen=True)
class BottomUpFinder(Finder):
    """Finds people with a bottom-up network."""

    def find(self, images: Tensor, sizes: Tensor, seeds: Sequence[int] = ()) -> Found:
        """The people of pictures (B, 3, H, W), whose sizes (B, 2) without padding are height, width.

        A picture whose maps are not finite shows nobody and counts as one person dropped. Chance plays no part.
        """
        heat, tags, fields = (to_host(part.float()).numpy() for part in self.parts.run["maps"](images))
        each, dropped = [], 0
        for at, size in enumerate(sizes.tolist()):
            h, w = (max(1, round(side / STRIDE)) for side in size)
            maps = tuple(np.ascontiguousarray(part[at, :, :h, :w]) for part in (heat, tags, fields))
            finite = all(np.isfinite(part).all() for part in maps)
            dropped += not finite
            each.append(self._people(*(maps if finite else (np.full_like(maps[0], _NOTHING), *maps[1:]))))
        scores, boxes, xy, confidence, logits = (
            torch.from_numpy(np.concatenate(some).astype(np.float32)) for some in zip(*each, strict=True)
        )
        image = torch.arange(len(each)).repeat_interleave(torch.tensor([len(some.scores) for some in each]))
        return Found(image, boxes, scores, xy, logits, confidence, dropped)

    def _people(self, logits: F, tags: F, fields: F) -> _People:
        """The people of one picture, from its logits (K, h, w), tags (2K, h, w) and fields (2L, h, w)."""
        heat = expit(logits)
        joints = candidates(heat, _SCORE_MIN, 2 * self.limits.people_max)
        people = self._grouped(joints, tags, fields)
        people = people[(people >= 0).sum(1) >= _KEYPOINTS_MIN]
        scores = _scores(joints, people)
        kept = np.flatnonzero(scores > self.limits.score_min)
        best = kept[np.argsort(-scores[kept], kind="stable")][: self.limits.people_max]
        return _placed(joints, people[best], scores[best], logits, heat)

    def _grouped(self, joints: Candidates, tags: F, fields: F) -> I:
        keypoints = self.architecture.keypoints
        if self.architecture.grouping == "paf":
            return by_limbs(joints, fields, self.architecture.limbs, keypoints)
        order = _TRUNK_FIRST if keypoints == len(_TRUNK_FIRST) else range(keypoints)
        return by_tags(joints, tags_at(tags, joints.kind, joints.cells), keypoints, order)


def _scores(joints: Candidates, people: I) -> F:
    """(N,) square root of the mean confidence of keypoints (N, K), where those that are lacking count as 0."""
    has = people >= 0
    scores: F = np.sqrt(np.where(has, _of(joints.scores, people), 0).mean(1))
    return scores


def _placed(joints: Candidates, people: I, scores: F, logits: F, heat: F) -> _People:
    """The people with all of their keypoints; those that are lacking are looked for around the others."""
    has = people >= 0
    cells = highest_nearby(_of(joints.cells, people), has, heat)
    at = (np.arange(people.shape[1]), cells[..., 1], cells[..., 0])
    xy = (np.where(has[..., None], _of(joints.xy, people), cells) + 0.5) * STRIDE
    return _People(scores, _boxes(xy, has), xy, heat[at], logits[at])


def _of(each: F | I, people: I) -> Any:
    """What is said of each candidate (M, ...), of people's keypoints (N, K); anything where there is no candidate."""
    return each[people] if len(each) else np.zeros((*people.shape, *each.shape[1:]), each.dtype)


def _boxes(xy: F, has: NDArray[np.bool_]) -> F:
    """(N, 4) boxes around the keypoints that were grouped, a little larger."""
    low, high = np.where(has[..., None], xy, np.inf).min(1), np.where(has[..., None], xy, -np.inf).max(1)
    beyond = _MARGIN * (high - low).max(1, keepdims=True)
    boxes: F = np.concatenate((low - beyond, high + beyond), 1)
    return boxes
