"""What proposals and boxes cost, as in Faster R-CNN; a picture at a time.

Source: https://arxiv.org/abs/1506.01497. Letters: R anchors, P proposals, N labelled people.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.box_coder import encode
from engines.model.matching import People, match, sample

RPN_LOW, RPN_HIGH = 0.3, 0.7
BOX_OVERLAP = 0.5
BOX_WEIGHTS = (10.0, 5.0)
"""Of the box head's deltas: shift and growth."""
_BETA = 1 / 9
"""Below this deltas cost their square."""


class Losses(NamedTuple):
    """Of one picture."""

    which: Tensor
    """Is it something, is it a person."""
    where: Tensor
    """How far off the box is."""


class Sampled(NamedTuple):
    """The proposals of one picture that its heads are trained on, positives first."""

    boxes: Tensor
    """(P, 4)"""
    whom: Tensor
    """(P,) which person each stands for; -1: background."""


def rpn(
    objectness: Tensor, deltas: Tensor, anchors: Tensor, people: People, generator: torch.Generator, count: int = 256
) -> Losses:
    """What the proposal head costs.

    Args:
        objectness: (R,) logits.
        deltas: (R, 4).
        anchors: (R, 4) in pixels; those that lie far beyond the picture count like others.
        people: of the picture.
        generator: which anchors are looked at, half of them positives where there are so many.
        count: how many are looked at.
    """
    matched = match(anchors, people, RPN_LOW, RPN_HIGH, everybody=True)
    positives, negatives = sample(matched, count, 0.5, generator)
    chosen = torch.cat((positives, negatives))
    if not len(chosen):
        return _nothing(objectness, deltas)
    truth = torch.zeros(len(chosen), dtype=objectness.dtype, device=objectness.device)
    truth[: len(positives)] = 1
    wanted = encode(people.boxes[matched[positives]], anchors[positives])
    return Losses(
        functional.binary_cross_entropy_with_logits(objectness[chosen], truth),
        functional.smooth_l1_loss(deltas[positives], wanted, beta=_BETA, reduction="sum") / len(chosen),
    )


def sample_proposals(
    proposals: Tensor, people: People, generator: torch.Generator, count: int = 512, positive_share: float = 0.25
) -> Sampled:
    """The proposals that the heads are trained on; labelled boxes are proposals too, so there are positives."""
    boxes = torch.cat((people.boxes, proposals))
    matched = match(boxes, people, BOX_OVERLAP, BOX_OVERLAP)
    positives, negatives = sample(matched, count, positive_share, generator)
    chosen = torch.cat((positives, negatives))
    return Sampled(boxes[chosen], matched[chosen])


def box_head(class_logits: Tensor, deltas: Tensor, sampled: Sampled, people: People) -> Losses:
    """What the box head costs.

    Args:
        class_logits: (P, 2), background first.
        deltas: (P, 8): the person's are the last four.
        sampled: what the head was given.
        people: of the picture.
    """
    if not len(sampled.boxes):
        return _nothing(class_logits, deltas)
    person = sampled.whom >= 0
    wanted = encode(people.boxes[sampled.whom[person]], sampled.boxes[person], BOX_WEIGHTS)
    off = functional.smooth_l1_loss(deltas[person, 4:], wanted, beta=_BETA, reduction="sum")
    return Losses(functional.cross_entropy(class_logits, person.long()), off / len(sampled.boxes))


def _nothing(*seen: Tensor) -> Losses:
    """No loss, of what gradients may be asked for."""
    first, second = (each.sum() * 0 for each in seen)
    return Losses(first, second)
