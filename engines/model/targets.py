"""What heat maps should look like, and where the keypoints of heat maps are: each with its inverse.

Places on a map are in cells; the centre of the first cell lies at 0, so a person's box reaches from -0.5 to w - 0.5.
Letters: N people, K keypoints, h x w cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_LEAST = 1e-10


def to_cells(xy: Tensor, boxes: Tensor, cells_hw: tuple[int, int]) -> Tensor:
    """(N, K, 2) cells of places (N, K, 2) in pixels, on maps that cover boxes (N, 4)."""
    return (xy - boxes[:, None, :2]) * _cells_a_pixel(boxes, cells_hw) - 0.5


def from_cells(xy_cells: Tensor, boxes: Tensor, cells_hw: tuple[int, int]) -> Tensor:
    """(N, K, 2) pixels of places (N, K, 2) in cells of maps that cover boxes (N, 4)."""
    return (xy_cells + 0.5) / _cells_a_pixel(boxes, cells_hw) + boxes[:, None, :2]


def gaussian(xy_cells: Tensor, cells_hw: tuple[int, int], sigma: float) -> Tensor:
    """(N, K, h, w) Gaussians of height 1 and a deviation in cells, with their peaks between cells where the places are.

    Source: https://arxiv.org/abs/1910.06278 (not rounding the peak to a cell, which would bias).
    """
    return torch.exp(-_squares(xy_cells, cells_hw) / (2 * sigma * sigma))


def soft_cells(xy_cells: Tensor, cells_hw: tuple[int, int], sigma: float) -> Tensor:
    """(N, K, h, w) shares of a keypoint for each cell, which sum to 1: the nearer `sigma` is to 0, the more one has."""
    squares = _squares(xy_cells, cells_hw)
    return torch.softmax(-squares.flatten(2) / (2 * sigma * sigma), 2).view(squares.shape)


def one_hot(xy_cells: Tensor, cells_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(N, K) numbers of the cells that places lie in, row by row, and (N, K) whether they lie on the map at all.

    The map's far edges belong to its last cells. Source: https://arxiv.org/abs/1703.06870, as torchvision does it.
    """
    h, w = cells_hw
    size = torch.tensor((w, h), device=xy_cells.device)
    at = (xy_cells + 0.5).floor()
    at = torch.where(xy_cells + 0.5 == size, size - 1, at).long()
    inside = ((at >= 0) & (at < size)).all(-1)
    return torch.where(inside, at[..., 1] * w + at[..., 0], 0), inside


def offsets(xy_cells: Tensor, cells_hw: tuple[int, int], radius: float) -> tuple[Tensor, Tensor]:
    """(N, K, 2, h, w) from each cell to its keypoint, in cells; and (N, K, h, w) which cells lie within the radius."""
    h, w = cells_hw
    x = xy_cells[..., 0, None, None] - torch.arange(w, device=xy_cells.device)
    y = xy_cells[..., 1, None, None] - torch.arange(h, device=xy_cells.device)[:, None]
    both = torch.stack(torch.broadcast_tensors(x, y), 2)
    return both, both.square().sum(2) <= radius**2


def argmax(maps: Tensor) -> Tensor:
    """(N, K, 2) the highest cell of each map (N, K, h, w): off by up to half a cell."""
    return _peak(maps).to(maps.dtype)


def quarter(maps: Tensor) -> Tensor:
    """(N, K, 2) the highest cell, moved by a quarter towards the higher neighbour of each axis.

    Source: https://arxiv.org/abs/1603.06937.
    """
    around = _around(maps, _peak(maps))
    return (
        around.at.to(maps.dtype)
        + 0.25 * torch.stack((around.right - around.left, around.below - around.above), -1).sign()
    )


def parabola(maps: Tensor) -> Tensor:
    """(N, K, 2) the peaks of parabolas through the highest cell and its neighbours, along each axis.

    Exact where the map is the logarithm of a Gaussian along the axes, as logits of a softmax trained on one are. At an
    edge, where a neighbour is missing, the cell itself.
    """
    around = _around(maps, _peak(maps))
    return around.at.to(maps.dtype) + torch.stack(
        (_vertex(around.left, around.here, around.right), _vertex(around.above, around.here, around.below)), -1
    )


def dark(maps: Tensor, sigma: float) -> Tensor:
    """(N, K, 2) where the Taylor series of the logarithm about the highest cell has its peak; at most a cell away.

    Args:
        maps: (N, K, h, w) heat maps, above 0 around their peaks; not logits.
        sigma: in cells: the maps are smoothed first by a Gaussian as wide as the one they were trained on; 0: not.

    Beyond the map there is nothing, so a smoothed peak within two sigmas of an edge is drawn inwards.
    Source: https://arxiv.org/abs/1910.06278.
    """
    smooth = (_smoothed(maps, sigma) if sigma else maps).clamp(min=_LEAST).log()
    at = _peak(maps)
    around = _around(smooth, at)
    gradient = torch.stack((around.right - around.left, around.below - around.above), -1) / 2
    xx = around.right - 2 * around.here + around.left
    yy = around.below - 2 * around.here + around.above
    xy = _mixed(smooth, at)
    determinant = xx * yy - xy.square()
    step = (
        torch.stack((xy * gradient[..., 1] - yy * gradient[..., 0], xy * gradient[..., 0] - xx * gradient[..., 1]), -1)
        / torch.where(determinant == 0, 1, determinant)[..., None]
    )
    peaked = (determinant > 0) & (xx < 0) & ~around.edge.any(-1)
    return at.to(maps.dtype) + torch.where(peaked[..., None], step.clamp(-1, 1), 0)


def soft_argmax(maps: Tensor, temperature: float) -> Tensor:
    """(N, K, 2) the mean place under the softmax of maps (N, K, h, w) divided by the temperature; differentiable.

    A low temperature comes to the highest cell; a high one is drawn to the middle of the map, the more the nearer the
    peak is to an edge. Source: https://arxiv.org/abs/1711.08229.
    """
    shares = (maps / temperature).flatten(2).softmax(2).unflatten(2, maps.shape[2:])
    x = (shares.sum(2) * torch.arange(maps.shape[3], device=maps.device)).sum(-1)
    y = (shares.sum(3) * torch.arange(maps.shape[2], device=maps.device)).sum(-1)
    return torch.stack((x, y), -1)


def by_offsets(maps: Tensor, to_keypoint: Tensor) -> Tensor:
    """(N, K, 2) the highest cell of maps (N, K, h, w), moved as offsets (N, K, 2, h, w) say there."""
    at = _peak(maps)
    which = (at[..., 1] * maps.shape[3] + at[..., 0])[..., None, None].expand(-1, -1, 2, 1)
    return at.to(maps.dtype) + to_keypoint.flatten(3).gather(3, which)[..., 0]


def _cells_a_pixel(boxes: Tensor, cells_hw: tuple[int, int]) -> Tensor:
    sides = (boxes[:, None, 2:] - boxes[:, None, :2]).clamp(min=_LEAST)
    return torch.tensor(cells_hw[::-1], device=boxes.device) / sides


def _squares(xy_cells: Tensor, cells_hw: tuple[int, int]) -> Tensor:
    return offsets(xy_cells, cells_hw, 0.0)[0].square().sum(2)


def _peak(maps: Tensor) -> Tensor:
    """(N, K, 2) x and y of the highest cell; of equals the first in reading order."""
    which = maps.flatten(2).argmax(2)
    return torch.stack((which % maps.shape[3], which // maps.shape[3]), -1)


class _Around(NamedTuple):
    """A cell of each map and its neighbours; (N, K) each, a missing neighbour is the cell itself."""

    at: Tensor
    here: Tensor
    left: Tensor
    right: Tensor
    above: Tensor
    below: Tensor
    edge: Tensor
    """(N, K, 2) whether a neighbour along x or y is missing."""


def _around(maps: Tensor, at: Tensor) -> _Around:
    last = torch.tensor((maps.shape[3] - 1, maps.shape[2] - 1), device=maps.device)
    here, left, right, above, below = (_value(maps, at, x, y) for x, y in ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)))
    return _Around(at, here, left, right, above, below, (at == 0) | (at == last))


def _value(maps: Tensor, at: Tensor, right: int, down: int) -> Tensor:
    """(N, K) the value so many cells right of and below a place; beyond the edge that of the last cell."""
    h, w = maps.shape[2:]
    x, y = (at[..., 0] + right).clamp(0, w - 1), (at[..., 1] + down).clamp(0, h - 1)
    return maps.flatten(2).gather(2, (y * w + x)[..., None])[..., 0]


def _vertex(before: Tensor, here: Tensor, after: Tensor) -> Tensor:
    """Where the parabola through -1, 0 and 1 has its peak; 0 at an edge (a neighbour equals the cell) or on a plain."""
    bend = before - 2 * here + after
    inner = (before < here) & (after < here)
    return torch.where(inner, (before - after) / (2 * torch.where(inner, bend, -1)), 0)


def _mixed(maps: Tensor, at: Tensor) -> Tensor:
    corners = [_value(maps, at, x, y) * x * y for x in (-1, 1) for y in (-1, 1)]
    return torch.stack(corners).mean(0)


def _smoothed(maps: Tensor, sigma: float) -> Tensor:
    reach = max(1, math.ceil(3 * sigma))
    away = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.softmax(-away.square() / (2 * sigma * sigma), 0)
    flat = functional.pad(maps.flatten(0, 1)[:, None], (reach, reach, reach, reach))
    smooth = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return smooth.view(maps.shape)
