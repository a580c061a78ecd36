"""A bottom-up network's maps to people. Letters: B pictures, N people, K keypoints, h x w cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.bottom_up.tags import tags_at
from engines.model.found import Finder, Found
from engines.model.transfer import to_host
from engines.ops.candidates import Candidates, candidates
from engines.ops.grouping import by_limbs, by_tags

F = NDArray[np.floating[Any]]

_STRIDE: Final = 4
_SCORE_MIN: Final = 0.1
"""Of a candidate."""
_KEYPOINTS_MIN: Final = 3
"""Fewer make nobody."""
_MARGIN: Final = 0.1
"""A box goes beyond its keypoints by this share of its longer side."""


@dataclass(frozen=True)
class BottomUpFinder(Finder):
    """Finds people with a bottom-up network."""

    def find(self, images: Tensor, sizes: Tensor) -> Found:
        """The people of pictures (B, 3, H, W), whose sizes (B, 2) without padding are height, width."""
        heat, tags, fields = (to_host(part.float()).numpy() for part in self.parts.run["maps"](images))
        found = []
        for at, size in enumerate(sizes.tolist()):
            h, w = (max(1, round(side / _STRIDE)) for side in size)
            found.append(self._people(heat[at, :, :h, :w], tags[at, :, :h, :w], fields[at, :, :h, :w]))
        count = torch.tensor([len(scores) for scores, _, _, _ in found])
        scores, xy, confidence, logits = (np.concatenate(each) for each in zip(*found, strict=True))
        return Found(
            image=torch.arange(len(found)).repeat_interleave(count),
            boxes=torch.from_numpy(_boxes(xy, confidence)),
            scores=torch.from_numpy(scores),
            keypoints=torch.from_numpy(xy),
            logits=torch.from_numpy(logits),
            confidence=torch.from_numpy(confidence),
            dropped=0,
        )

    def _people(self, logits: F, tags: F, fields: F) -> tuple[F, F, F, F]:
        """(N,) scores, (N, K, 2) keypoints in pixels, (N, K) confidence and logits of one picture, best first."""
        shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
        most = 2 * self.limits.people_max
        joints = candidates(np.nan_to_num(shares), _SCORE_MIN, most)
        people = self._grouped(joints, tags, fields)
        has = people >= 0
        confidence = (
            np.where(has, joints.scores[people], 0).astype(np.float32) if len(joints) else has.astype(np.float32)
        )
        scores = confidence.mean(1)
        fit = np.flatnonzero((has.sum(1) >= _KEYPOINTS_MIN) & (scores > self.limits.score_min))
        best = fit[np.argsort(-scores[fit], kind="stable")][: self.limits.people_max]
        xy, raw = _placed(joints, people[best], logits)
        return scores[best], xy, confidence[best], raw

    def _grouped(self, joints: Candidates, tags: F, fields: F) -> NDArray[np.intp]:
        keypoints = self.architecture.keypoints
        if self.architecture.grouping == "paf":
            return by_limbs(joints, fields, self.architecture.limbs, keypoints)
        own = tags_at(tags, joints.kind, joints.cells)
        return by_tags(joints, own, keypoints, _ORDER if keypoints == len(_ORDER) else range(keypoints))


_ORDER: Final = (5, 6, 11, 12, 0, 1, 2, 3, 4, 7, 8, 13, 14, 9, 10, 15, 16)
"""COCO's keypoints, those of the trunk first: they are seen best."""


def _placed(joints: Candidates, people: NDArray[np.intp], logits: F) -> tuple[F, F]:
    """(N, K, 2) pixels and (N, K) logits; a keypoint that nobody found lies in the middle of the others."""
    has = people >= 0
    if not len(people):
        return np.zeros((0, has.shape[1], 2), np.float32), np.zeros(has.shape, np.float32)
    xy = (joints.xy[people] + 0.5) * _STRIDE
    middle = (xy * has[..., None]).sum(1, keepdims=True) / has.sum(1)[:, None, None]
    x, y = joints.cells[people].transpose(2, 0, 1)
    raw = logits[np.arange(people.shape[1]), y, x]
    lowest = np.float32(logits.min())
    return np.where(has[..., None], xy, middle).astype(np.float32), np.where(has, raw, lowest).astype(np.float32)


def _boxes(xy: F, confidence: F) -> F:
    """(N, 4) boxes around the keypoints that were found, a little larger."""
    there = confidence[..., None] > 0
    low, high = np.where(there, xy, np.inf).min(1), np.where(there, xy, -np.inf).max(1)
    beyond = _MARGIN * (high - low).max(1, keepdims=True)
    boxes: F = np.concatenate((low - beyond, high + beyond), 1).astype(np.float32)
    return boxes
