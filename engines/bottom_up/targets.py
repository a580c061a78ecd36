"""What the maps of a picture should look like. Cells: the centre of the first one lies at 0.

Letters: N people, K keypoints, L limbs, h x w cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_REACH = 3.0
"""A Gaussian is cut off at so many deviations."""
_STEPS_A_CELL = 2
"""A limb is drawn by so many points a cell of its length."""


def extents(xy: Tensor, labelled: Tensor) -> Tensor:
    """(N,) diagonal of the box around a person's labelled keypoints, in cells; 0 where none is labelled."""
    there = labelled[..., None]
    low, high = xy.masked_fill(~there, torch.inf).amin(1), xy.masked_fill(~there, -torch.inf).amax(1)
    extents: Tensor = (high - low).clamp(min=0).norm(dim=1)
    return extents


def heat(xy: Tensor, labelled: Tensor, hw: tuple[int, int], sigmas: Tensor) -> Tensor:
    """(K, h, w) for each keypoint the highest of its people's Gaussians, whose peaks lie between cells.

    Args:
        xy: (N, K, 2) in cells.
        labelled: (N, K) which are.
        hw: of the maps.
        sigmas: (N,) deviation of each person's, in cells.
    """
    h, w = hw
    keypoints = xy.shape[1]
    reach = int(_REACH * max(sigmas.tolist(), default=0)) + 1
    steps = torch.arange(-reach, reach + 1, device=xy.device)
    around = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).flatten(0, 1)
    cells = xy.round().long()[:, :, None] + around
    height = torch.exp(-(cells - xy[:, :, None]).square().sum(-1) / (2 * sigmas.square()[:, None, None]))
    inside = labelled[..., None] & ((cells >= 0) & (cells < torch.tensor((w, h), device=xy.device))).all(-1)
    which = torch.arange(keypoints, device=xy.device)[None, :, None] * (h * w) + cells[..., 1] * w + cells[..., 0]
    maps = torch.zeros(keypoints * h * w, device=xy.device)
    maps.scatter_reduce_(0, which[inside], height[inside], "amax")
    return maps.view(keypoints, h, w)


def fields(
    xy: Tensor, labelled: Tensor, limbs: Sequence[tuple[int, int]], hw: tuple[int, int], half_widths: Tensor
) -> tuple[Tensor, Tensor]:
    """(L, 2, h, w) unit vectors along each limb, averaged where people's limbs cross, and (L, h, w) where limbs lie.

    Args:
        xy: (N, K, 2) in cells.
        labelled: (N, K) which are; a limb needs both of its ends.
        limbs: pairs of keypoints.
        hw: of the maps.
        half_widths: (N,) of each person's limbs, in cells to each side of the line.
    """
    h, w = hw
    ends = torch.tensor(limbs, device=xy.device)
    start, along = xy[:, ends[:, 0]], xy[:, ends[:, 1]] - xy[:, ends[:, 0]]
    length = along.norm(dim=-1, keepdim=True)
    unit = along / length.clamp(min=1e-6)
    across = torch.stack((-unit[..., 1], unit[..., 0]), -1)
    longest = float(length.max()) if length.numel() else 0.0
    steps = torch.linspace(0, 1, max(2, int(longest * _STEPS_A_CELL) + 1), device=xy.device)
    widest = int(max(half_widths.tolist(), default=0)) + 1
    sides = torch.linspace(-1, 1, 2 * widest + 1, device=xy.device) * half_widths[:, None]
    points = (start[..., None, None, :] + along[..., None, None, :] * steps[:, None, None]) + (
        across[..., None, None, :] * sides[:, None, None, :, None]
    )
    cells = points.round().long()
    inside = ((cells >= 0) & (cells < torch.tensor((w, h), device=xy.device))).all(-1)
    inside &= (labelled[:, ends[:, 0]] & labelled[:, ends[:, 1]])[..., None, None]
    which = torch.arange(len(limbs), device=xy.device)[None, :, None, None] * (h * w)
    which = which + cells[..., 1] * w + cells[..., 0]
    sums = torch.zeros(2, len(limbs) * h * w, device=xy.device)
    for axis in (0, 1):
        sums[axis].index_add_(0, which[inside], unit[..., axis][..., None, None].expand_as(which)[inside])
    there = torch.zeros(len(limbs) * h * w, device=xy.device)
    there[which[inside]] = 1
    mean = sums / sums.norm(dim=0).clamp(min=1e-6) * there
    return mean.view(2, len(limbs), h, w).transpose(0, 1), there.view(len(limbs), h, w)


def unmasked(crowds: Tensor, hw: tuple[int, int]) -> Tensor:
    """(h, w) 0 inside boxes (M, 4), in cells, of people who are not labelled one by one; 1 elsewhere."""
    h, w = hw
    mask = torch.ones(hw, device=crowds.device)
    for x1, y1, x2, y2 in crowds.round().long().tolist():
        mask[max(0, y1) : max(0, min(h, y2 + 1)), max(0, x1) : max(0, min(w, x2 + 1))] = 0
    return mask
