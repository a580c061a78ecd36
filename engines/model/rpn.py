"""Anchors moved by what the network says, the best of them kept: where something may be.

Letters: B pictures, L levels, n candidates a level, P proposals a picture, A = 3 anchors a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.architecture import Architecture
from engines.model.box_coder import clip, decode, not_smaller
from engines.model.keypoint_rcnn import RATIOS, Features
from engines.model.suppress import suppress
from engines.model.transfer import to_device

IOU_MAX = 0.7
SIDE_PX_MIN = 1e-3


class Proposals(NamedTuple):
    """Where something may be in B pictures, best first."""

    boxes: Tensor
    """(B, P, 4) pixels of the network's input; zeros where there is none."""
    alive: Tensor
    """(B, P) whether there is one."""
    settled: Tensor
    """() False: the rounds of suppression were not enough, and this is wrong."""


def propose(
    seen: Features, image_hw: tuple[int, int], sizes: Tensor, architecture: Architecture, rounds: int | None
) -> Proposals:
    """Give the P best places of each picture.

    Args:
        seen: what the network says.
        image_hw: height and width of the pictures with their padding.
        sizes: (B, 2) height and width of each without it.
        architecture: says how many.
        rounds: see `suppress`.
    """
    count = architecture.proposals_level
    levels = zip(seen.objectness, seen.deltas, _grids(seen.objectness, image_hw, architecture), strict=True)
    best = [_best_of_level(*level, count) for level in levels]
    scores = torch.stack([level[0] for level in best], 1)  # (B, L, n)
    boxes = clip(torch.stack([level[1] for level in best], 1), sizes)  # (B, L, n, 4)
    alive = not_smaller(boxes, SIDE_PX_MIN) & (scores >= 0)
    stays, settled = suppress(boxes.flatten(0, 1), alive.flatten(0, 1), IOU_MAX, rounds)
    scores = torch.where(stays.view_as(scores), scores, -1.0).flatten(1)
    # Stable: among equals the finer level goes first, as it does in torchvision.
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    order = order[:, : architecture.proposals]
    boxes = boxes.flatten(1, 2).gather(1, order[..., None].expand(-1, -1, 4))
    alive = scores[:, : architecture.proposals] >= 0
    return Proposals(torch.where(alive[..., None], boxes, 0.0), alive, settled)


def base_anchors(size_px: int, like: Tensor, exact: bool = False) -> Tensor:
    """Give the anchors (A, 4) of a cell, around its corner, rounded to whole pixels unless they are to be exact."""
    h = torch.tensor(RATIOS, dtype=torch.float32).sqrt()
    w = 1 / h
    anchors = torch.stack((-w, -h, w, h), dim=1) * size_px / 2
    return to_device((anchors if exact else anchors.round()).to(like.dtype), like.device)


class _Grid(NamedTuple):
    """Where the anchors of a level lie."""

    anchors: Tensor
    """(A, 4) those of the cell at 0, 0."""
    step_hw: tuple[int, int]
    """Pixels from one cell to the next one down and to the right."""


def _grids(objectness: tuple[Tensor, ...], image_hw: tuple[int, int], architecture: Architecture) -> list[_Grid]:
    grids = []
    for at, (level, size_px) in enumerate(zip(objectness, architecture.anchor_px, strict=True)):
        anchors = base_anchors(size_px, level[:0].float(), architecture.anchors_exact)
        side = 1 << (architecture.level_first + at)
        # Whole pixels a cell, as torchvision counts them: not quite 2**k on a level halved from an odd one.
        fits = (image_hw[0] // level.shape[2], image_hw[1] // level.shape[3])
        grids.append(_Grid(anchors, (side, side) if architecture.anchors_exact else fits))
    return grids


def _best_of_level(objectness: Tensor, deltas: Tensor, grid: _Grid, count: int) -> tuple[Tensor, Tensor]:
    """(B, n) probabilities, -1 where there is nothing, and (B, n, 4) boxes, best first."""
    batch, anchors, _, w = objectness.shape
    flat = objectness.permute(0, 2, 3, 1).reshape(batch, -1)
    logits, which = flat.float().topk(min(count, flat.shape[1]), dim=1)
    moves = deltas.permute(0, 2, 3, 1).reshape(batch, -1, 4).gather(1, which[..., None].expand(-1, -1, 4)).float()
    cell = torch.div(which, anchors, rounding_mode="floor")
    x = cell % w * grid.step_hw[1]
    y = torch.div(cell, w, rounding_mode="floor") * grid.step_hw[0]
    places = torch.stack((x, y, x, y), -1) + grid.anchors[which % anchors]
    missing = count - logits.shape[1]
    scores = functional.pad(logits.sigmoid(), (0, missing), value=-1.0)
    return scores, functional.pad(decode(moves, places), (0, 0, 0, missing))
