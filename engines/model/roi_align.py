"""RoIAlign: features of boxes, each pooled from the level that fits its size, all in one gather.

Source: https://arxiv.org/abs/1703.06870, section 3; the choice of level: https://arxiv.org/abs/1612.03144, equation 1.
Letters: B pictures, C channels, R boxes, S cells of all levels of all pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.transfer import to_device

_SAMPLES = 2
"""Points a bin along each axis."""
_PERSON_PX, _PERSON_LEVEL = 224, 4
"""A box of this side comes from this level."""


@dataclass(frozen=True)
class Pyramid:
    """Feature levels laid out for gathering."""

    cells: Tensor
    """(S, C) cells: level by level, in it picture by picture, row by row."""
    starts: Tensor
    """(levels,) where each level starts in `cells`."""
    hw: Tensor
    """(levels, 2) height and width of each level."""
    level_first: int
    """Level 0 of these has a cell every 2**level_first pixels."""

    @staticmethod
    def of(levels: tuple[Tensor, ...], level_first: int) -> Pyramid:
        """Lay out levels (B, C, h, w), finest first."""
        cells = [level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels]
        starts = [0]
        for level in cells[:-1]:
            starts.append(starts[-1] + len(level))
        device = levels[0].device
        hw = to_device(torch.tensor([level.shape[2:] for level in levels]), device)
        return Pyramid(torch.cat(cells), to_device(torch.tensor(starts), device), hw, level_first)


def roi_align(
    pyramid: Pyramid, boxes: Tensor, image: Tensor, bins: int, aligned: bool = False, finest: int = 0
) -> Tensor:
    """RoI features: each box in bins x bins bins.

    A bin is the mean of 2x2 points, each interpolated between the four cells around it.

    Args:
        pyramid: what is pooled from.
        boxes: (R, 4) pixels of the network's input.
        image: (R,) of which picture.
        bins: along each axis.
        aligned: shift by half a cell, and take boxes narrower than a cell as they are.
        finest: no level before this one is used, counted from 0.

    Returns:
        (R, C, bins, bins), its memory channels last.
    """
    level = level_of(boxes, pyramid.level_first, len(pyramid.hw)).clamp(min=finest)
    scale = torch.pow(2.0, -(level + pyramid.level_first).to(boxes.dtype))[:, None]
    starts, ends = (boxes * scale - (0.5 if aligned else 0.0)).split(2, dim=1)  # (R, 2): x, y
    sides = ends - starts if aligned else (ends - starts).clamp(min=1)
    hw = pyramid.hw[level]  # (R, 2)
    cells, weights = _taps(starts, sides, hw.flip(1), bins)  # (R, 2: x, y, bins, 4)
    base = pyramid.starts[level] + image * (hw[:, 0] * hw[:, 1])
    rows = base[:, None, None] + cells[:, 1] * hw[:, 1, None, None]
    which = _outer(rows, cells[:, 0], torch.add)  # (R, bins, bins, 16)
    weight = _outer(weights[:, 1], weights[:, 0], torch.mul)
    # The sum of weighted rows is one fused pass; nothing of size taps x C is ever made.
    pooled = functional.embedding_bag(
        which.flatten(0, 2),
        pyramid.cells,
        mode="sum",
        per_sample_weights=weight.flatten(0, 2).to(pyramid.cells),
    )
    return pooled.view(len(boxes), bins, bins, pyramid.cells.shape[1]).permute(0, 3, 1, 2)


def _outer(y: Tensor, x: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(R, bins, bins, 16) every y tap combined with every x tap, for every pair of bins (R, bins, 4)."""
    # All sixteen beside each other before bins meet bins: loops over four numbers cost more than what they do.
    y, x = y.repeat_interleave(4, -1), x.repeat(1, 1, 4)
    return join(y[:, :, None], x[:, None])


def level_of(boxes: Tensor, level_first: int, levels: int) -> Tensor:
    """(R,) which of the levels, counted from 0, fits each box (R, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = (sides[:, 0] * sides[:, 1]).sqrt()
    level = torch.floor(_PERSON_LEVEL + torch.log2(side / _PERSON_PX) + 1e-6)
    return level.clamp(level_first, level_first + levels - 1).nan_to_num(level_first).long() - level_first


def _taps(start: Tensor, side: Tensor, cells: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Cells (..., bins, 4) that the points of each bin lie between along an axis, and their shares of the bin's mean.

    All are given for each axis of each box: where the box starts, its side, and how many cells there are.
    """
    at = torch.arange(bins * _SAMPLES, device=start.device, dtype=start.dtype)
    bin_side = side[..., None] / bins
    position = torch.floor(at / _SAMPLES) * bin_side + (at % _SAMPLES + 0.5) * (bin_side / _SAMPLES) + start[..., None]
    cells = cells[..., None]
    inside = (position >= -1) & (position <= cells)
    last = cells - 1
    position = position.clamp(min=0).minimum(last.to(position.dtype))
    low = position.long()
    high = torch.minimum(low + 1, last)
    share = position - low
    which = torch.stack((low, high), -1).unflatten(-2, (bins, _SAMPLES)).flatten(-2)
    weight = torch.stack((1 - share, share), -1) * (inside[..., None] / _SAMPLES)
    return which, weight.unflatten(-2, (bins, _SAMPLES)).flatten(-2)
