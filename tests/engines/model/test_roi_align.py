from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engines.model.roi_align import Pyramid, level_of, roi_align


def slow_point(level: Tensor, y: float, x: float) -> Tensor:
    """Between four cells of (C, h, w); nothing beyond a cell outside."""
    _, h, w = level.shape
    if y < -1 or y > h or x < -1 or x > w:
        return torch.zeros(len(level))
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    top, left = math.floor(y), math.floor(x)
    below, right = min(top + 1, h - 1), min(left + 1, w - 1)
    upper = level[:, top, left] * (1 - (x - left)) + level[:, top, right] * (x - left)
    lower = level[:, below, left] * (1 - (x - left)) + level[:, below, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def slow_roi_align(level: Tensor, box: list[float], stride: int, bins: int, aligned: bool) -> Tensor:
    x1, y1, x2, y2 = (side / stride - (0.5 if aligned else 0) for side in box)
    w, h = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
    out = torch.zeros(len(level), bins, bins)
    for row in range(bins):
        for column in range(bins):
            for down in (0.25, 0.75):
                for across in (0.25, 0.75):
                    y, x = y1 + (row + down) * h / bins, x1 + (column + across) * w / bins
                    out[:, row, column] += slow_point(level, y, x) / 4
    return out


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("bins", [2, 7])
def test_boxes_of_all_sizes_are_cut_out_as_one_by_one(seed: int, aligned: bool, bins: int) -> None:
    torch.manual_seed(seed)
    levels = tuple(torch.randn(2, 5, 40 >> k, 72 >> k) for k in range(3))
    corners = torch.rand(24, 2) * torch.tensor([500.0, 280.0])
    boxes = torch.cat((corners, corners + torch.rand(24, 2) ** 3 * 400), 1)
    boxes[0] = torch.tensor([570.0, 310.0, 640.0, 400.0])  # hangs over the edge
    boxes[1], boxes[2] = torch.tensor([3.0, 2.0, 576.0, 380.0]), torch.tensor([30.0, 20.0, 300.0, 290.0])
    image = torch.randint(2, (24,))
    cut = roi_align(Pyramid.of(levels, level_first=3), boxes, image, bins, aligned)
    which = level_of(boxes, 3, 3)
    assert set(which.tolist()) == {0, 1, 2}
    for at in range(len(boxes)):
        level = levels[which[at]][image[at]]
        slow = slow_roi_align(level, boxes[at].tolist(), 8 << int(which[at]), bins, aligned)
        torch.testing.assert_close(cut[at], slow, rtol=1e-4, atol=2e-4)


def test_the_level_rises_with_each_doubling_of_the_side_and_ends_where_levels_end() -> None:
    # 223.9999 counts as 224: what rounding takes from a side must not lower its level, and does not in torchvision.
    sides = torch.tensor([0.0, 10.0, 111.9, 112.0, 223.999, 223.9999, 224.0, 448.0, 5000.0])
    boxes = torch.stack((torch.zeros(9), torch.zeros(9), sides, sides), 1)
    assert level_of(boxes, 3, 3).tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert level_of(boxes, 2, 4).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_no_boxes_give_no_features_and_gradients_all_the_same() -> None:
    levels = tuple(torch.randn(2, 5, side, side, requires_grad=True) for side in (8, 4))
    pooled = roi_align(Pyramid.of(levels, level_first=3), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 7)
    assert pooled.shape == (0, 5, 7, 7)
    pooled.sum().backward()
    assert not levels[0].grad.any()
