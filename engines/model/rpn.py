"""Region proposals: anchors decoded with the network's deltas, the best of them kept.

Letters: B pictures, L levels, n candidates a level, P proposals a picture, A = 3 anchors a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.architecture import Architecture
from engines.model.box_coder import clip, decode, not_smaller
from engines.model.features import RATIOS, Features
from engines.model.suppress import suppress
from engines.model.transfer import to_device

IOU_MAX = 0.7
SIDE_PX_MIN = 1e-3


class Proposals(NamedTuple):
    """Region proposals of B pictures, best first."""

    boxes: Tensor
    """(B, P, 4) pixels of the network's input; zeros where not valid."""
    valid: Tensor
    """(B, P) False: padding, for a picture with fewer proposals."""
    converged: Tensor
    """() False: suppression had not converged after the given rounds, and these are wrong."""


def propose(
    seen: Features, image_hw: tuple[int, int], sizes: Tensor, architecture: Architecture, rounds: int | None
) -> Proposals:
    """The P best proposals of each picture.

    Args:
        seen: what the network says.
        image_hw: height and width of the pictures with their padding.
        sizes: (B, 2) height and width of each without it.
        architecture: says how many.
        rounds: see `suppress`.
    """
    count = architecture.proposals_level
    best = [_best_of_level(*level, count) for level in zip(seen.objectness, seen.deltas, strict=True)]
    logits, which, deltas = (torch.stack(each, 1) for each in zip(*best, strict=True))
    scores = logits.sigmoid()  # (B, L, n)
    boxes = clip(decode(deltas, _chosen_anchors(which, seen.objectness, image_hw, architecture)), sizes)  # (B, L, n, 4)
    valid = not_smaller(boxes, SIDE_PX_MIN) & (logits > -torch.inf)
    stays, converged = suppress(boxes.flatten(0, 1), valid.flatten(0, 1), IOU_MAX, rounds)
    scores = torch.where(stays.view_as(scores), scores, -1.0).flatten(1)
    # Stable: among equals the finer level goes first, as in torchvision, where equals of over 1,000 have no order.
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    order = order[:, : architecture.proposals]
    boxes = boxes.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
    valid = scores[:, : architecture.proposals] >= 0
    return Proposals(torch.where(valid[..., None], boxes, 0.0), valid, converged)


def base_anchors(sizes_px: Sequence[int], exact: bool = False) -> Tensor:
    """(L, A, 4) anchors of a cell of each level, around its corner; rounded to whole pixels unless exact."""
    h = torch.tensor(RATIOS, dtype=torch.float32).sqrt()
    w = 1 / h
    anchors = torch.stack((-w, -h, w, h), dim=1) * torch.tensor(sizes_px)[:, None, None] / 2
    return anchors if exact else anchors.round()


def anchors(levels_hw: Sequence[tuple[int, int]], image_hw: tuple[int, int], architecture: Architecture) -> Tensor:
    """(sum of h * w * A, 4) all anchors: level by level, row by row, cell by cell.

    Args:
        levels_hw: cells of each level along y and x, finest first.
        image_hw: height and width of the pictures with their padding.
        architecture: says how large anchors are.
    """
    base = base_anchors(architecture.anchor_px, architecture.anchors_exact)
    each = []
    for around, (h, cells), grid in zip(base, levels_hw, _grids(levels_hw, image_hw, architecture), strict=True):
        which = torch.arange(h * cells * len(around))
        w, step_x, step_y = torch.tensor(grid).unbind()
        each.append(_corners(which, w, step_x, step_y, len(around)) + around[which % len(around)])
    return torch.cat(each)


def _best_of_level(objectness: Tensor, deltas: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, n) logits, best first, (B, n) whose of the level's anchors they are, (B, n, 4) deltas; -inf if too few."""
    batch = len(objectness)
    flat = objectness.permute(0, 2, 3, 1).reshape(batch, -1)
    logits, which = flat.float().topk(min(count, flat.shape[1]), dim=1)
    deltas = deltas.permute(0, 2, 3, 1).reshape(batch, -1, 4).gather(1, which[..., None].expand(-1, -1, 4)).float()
    missing = count - logits.shape[1]
    if missing:
        logits = functional.pad(logits, (0, missing), value=-torch.inf)
        which, deltas = functional.pad(which, (0, missing)), functional.pad(deltas, (0, 0, 0, missing))
    return logits, which, deltas


def _chosen_anchors(
    which: Tensor, objectness: tuple[Tensor, ...], image_hw: tuple[int, int], architecture: Architecture
) -> Tensor:
    """(B, L, n, 4) anchors by their numbers (B, L, n) within a level, which count row by row, cell by cell."""
    device = which.device
    base = to_device(base_anchors(architecture.anchor_px, architecture.anchors_exact), device)  # (L, A, 4)
    levels_hw = [(level.shape[2], level.shape[3]) for level in objectness]
    grids = to_device(torch.tensor(_grids(levels_hw, image_hw, architecture)), device)  # (L, 3)
    w, step_x, step_y = grids[:, :, None].unbind(1)
    level = torch.arange(len(grids), device=device)[:, None]
    return _corners(which, w, step_x, step_y, base.shape[1]) + base[level, which % base.shape[1]]


def _corners(which: Tensor, w: Tensor, step_x: Tensor, step_y: Tensor, anchors: int) -> Tensor:
    """(..., 4) x, y, x, y of the corners of the cells that anchors number (...) belong to, so many anchors a cell."""
    cell = torch.div(which, anchors, rounding_mode="floor")
    x, y = cell % w * step_x, torch.div(cell, w, rounding_mode="floor") * step_y
    return torch.stack((x, y, x, y), -1)


def _grids(
    levels_hw: Sequence[tuple[int, int]], image_hw: tuple[int, int], architecture: Architecture
) -> list[tuple[int, int, int]]:
    """Of each level the cells of a row, and pixels from one cell to the next one to the right and down."""
    grids = []
    for at, (h, w) in enumerate(levels_hw):
        side = 1 << (architecture.level_first + at)
        # Whole pixels a cell, as torchvision counts them: not quite 2**k on a level halved from an odd one.
        fits = (image_hw[1] // w, image_hw[0] // h)
        grids.append((w, *((side, side) if architecture.anchors_exact else fits)))
    return grids
