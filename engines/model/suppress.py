"""Greedy non-maximum suppression of many lists of boxes at once, exact and without asking the device."""

from __future__ import annotations

import torch
from torch import Tensor


def suppress(boxes: Tensor, valid: Tensor, iou_max: float, rounds: int | None = None) -> tuple[Tensor, Tensor]:
    """Which boxes stay when each one that stays removes the later ones that overlap it too much.

    Greedy suppression has one solution of `stays_j = no i < j stays with iou_ij > iou_max`. Each round applies the
    right side to all boxes at once; after every round at least one more box of each list is final,
    typically most of them, so it converges in a handful of rounds.

    Args:
        boxes: (G, n, 4) in G lists of their own, each sorted best first.
        valid: (G, n) False: padding.
        iou_max: boxes that overlap by more than this are one.
        rounds: how many rounds; None: until nothing changes, which asks the device after each.

    Returns:
        (G, n) whether a box stays, and () whether that converged; if not, the first is wrong.
    """
    overlaps = (_iou(boxes) > iou_max).triu_(1).to(boxes.dtype)  # (G, n, n), row i removes column j
    before, stays = valid, _round(valid, valid, overlaps)
    done = 1
    while done != rounds and not (rounds is None and torch.equal(stays, before)):
        before, stays = stays, _round(stays, valid, overlaps)
        done += 1
    return stays, (stays == before).all()


def _round(stays: Tensor, valid: Tensor, overlaps: Tensor) -> Tensor:
    removers = torch.bmm(stays.to(overlaps.dtype)[:, None], overlaps)[:, 0]  # (G, n) how many
    return valid & (removers == 0)


def _iou(boxes: Tensor) -> Tensor:
    """(G, n, 4) to (G, n, n)."""
    x1, y1, x2, y2 = boxes.movedim(-1, 0).contiguous()  # side by side in memory: several times faster below
    areas = (x2 - x1) * (y2 - y1)
    # In place: at 300 boxes a list these fill the caches, and each new tensor costs as much as the arithmetic.
    w = torch.minimum(x2[:, :, None], x2[:, None]).sub_(torch.maximum(x1[:, :, None], x1[:, None])).clamp_(min=0)
    h = torch.minimum(y2[:, :, None], y2[:, None]).sub_(torch.maximum(y1[:, :, None], y1[:, None])).clamp_(min=0)
    shared = w.mul_(h)
    overlaps: Tensor = shared / (areas[:, :, None] + areas[:, None]).sub_(shared)
    return overlaps
