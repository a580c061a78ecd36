"""Proposals judged by the box head: the people of each picture.

Letters: B pictures, P proposals a picture, D people a picture at most.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engines.model.box_coder import clip, decode, not_smaller
from engines.model.rpn import Proposals
from engines.model.suppress import suppress

IOU_MAX = 0.5
SIDE_PX_MIN = 1e-2
_WEIGHTS = (10.0, 5.0)


class Detections(NamedTuple):
    """The people of B pictures, best first, in pixels of the network's input."""

    boxes: Tensor
    """(B, D, 4)."""
    scores: Tensor
    """(B, D) in 0..1; -1 where there is nobody."""
    converged: Tensor
    """() False: suppression had not converged after the given rounds, and these are wrong."""


class Limits(NamedTuple):
    """Which people are wanted."""

    score_min: float
    """Those scored above this..."""
    people_max: int
    """...and of each picture at most so many, the best."""


def detect(
    logits: Tensor, deltas: Tensor, proposals: Proposals, sizes: Tensor, limits: Limits, rounds: int | None
) -> Detections:
    """The people of each picture.

    Args:
        logits: the box head's (B * P, 2), background first.
        deltas: the box head's (B * P, 8).
        proposals: what it judged.
        sizes: (B, 2) height and width of each picture without its padding.
        limits: which of them are wanted.
        rounds: see `suppress`.
    """
    scores = logits.float().softmax(-1)[:, 1].view_as(proposals.valid)
    boxes = decode(deltas.float()[:, 4:].view_as(proposals.boxes), proposals.boxes, _WEIGHTS)
    boxes = clip(boxes, sizes)
    valid = proposals.valid & (scores > limits.score_min) & not_smaller(boxes, SIDE_PX_MIN)
    scores, boxes = _best_first(torch.where(valid, scores, -1.0), boxes)
    stays, converged = suppress(boxes, scores >= 0, IOU_MAX, rounds)
    scores, boxes = _best_first(torch.where(stays, scores, -1.0), boxes)
    return Detections(boxes[:, : limits.people_max], scores[:, : limits.people_max], converged & proposals.converged)


def _best_first(scores: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    return scores, boxes.gather(1, order[..., None].expand(-1, -1, 4))
