"""Which anchors and proposals stand for whom, which are background, and which of them a loss looks at.

Boxes are x1, y1, x2, y2 in pixels. Letters: R anchors or proposals, N labelled people of one picture.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

BACKGROUND: Final = -1
NEITHER: Final = -2
"""Near somebody, but not near enough; or among a crowd."""
_CROWD_SHARE = 0.5
"""What lies in a crowd by more than this share of itself is neither a person nor background."""


class People(NamedTuple):
    """The labelled people of one picture."""

    boxes: Tensor
    """(N, 4)"""
    crowd: Tensor
    """(N,) a group or somebody not labelled: neither a positive nor background."""


def match(references: Tensor, people: People, low: float, high: float, everybody: bool = False) -> Tensor:
    """For whom each reference stands.

    Args:
        references: (R, 4) anchors or proposals.
        people: of the picture.
        low: a reference whose overlap with everybody is below this is background.
        high: one whose overlap is at least this stands for the person that it overlaps most.
        everybody: the references that overlap a person most stand for somebody too, however little it is; so nobody
            goes without.

    Returns:
        (R,) numbers of people, `BACKGROUND` or `NEITHER`.
    """
    if not len(people.boxes):
        return torch.full((len(references),), BACKGROUND, device=references.device)
    overlap = iou(references, people.boxes).masked_fill(people.crowd, 0)  # (R, N)
    best, whom = overlap.max(1)
    matched = torch.where(best >= high, whom, torch.where(best < low, BACKGROUND, NEITHER))
    in_crowd = (_share_of(references, people.boxes) * people.crowd).amax(1) > _CROWD_SHARE
    matched = torch.where(in_crowd & (matched == BACKGROUND), NEITHER, matched)
    if everybody:
        most = overlap.amax(0)
        matched = torch.where(((overlap == most) & (most > 0)).any(1), whom, matched)
    return matched


def sample(matched: Tensor, count: int, positive_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Numbers of the positives and of the background that a loss looks at, drawn by chance.

    Args:
        matched: (R,) see `match`.
        count: how many of both; fewer where there are not so many.
        positive_share: at most this share are positives; background fills what they leave.
        generator: all chance, on the CPU.
    """
    positives, negatives = (which.nonzero()[:, 0] for which in (matched >= 0, matched == BACKGROUND))
    positives = _some(positives, int(count * positive_share), generator)
    return positives, _some(negatives, count - len(positives), generator)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """(R, N) intersection over union of boxes (R, 4) and (N, 4); 0 where neither has an area."""
    both = _both(first, second)
    either = _areas(first)[:, None] + _areas(second) - both
    return both / either.clamp(min=torch.finfo(both.dtype).tiny)


def _share_of(first: Tensor, second: Tensor) -> Tensor:
    """(R, N) how much of each box (R, 4) lies in boxes (N, 4)."""
    return _both(first, second) / _areas(first).clamp(min=torch.finfo(first.dtype).tiny)[:, None]


def _both(first: Tensor, second: Tensor) -> Tensor:
    top_left = torch.maximum(first[:, None, :2], second[:, :2])
    bottom_right = torch.minimum(first[:, None, 2:], second[:, 2:])
    return (bottom_right - top_left).clamp(min=0).prod(2)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)


def _some(which: Tensor, most: int, generator: torch.Generator) -> Tensor:
    if len(which) <= most:
        return which
    return which[torch.randperm(len(which), generator=generator)[:most].to(which.device)]
