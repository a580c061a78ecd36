"""Confidence rises with the sharpness of a peak, wherever the peak lies between the pixels of its person."""

from __future__ import annotations

import pytest
import torch

from engines.model import heatmap

_SHARPNESS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)


@pytest.mark.parametrize(("width_px", "height_px"), [(4, 4), (8, 8), (8, 30), (12, 12), (56, 56), (100, 200)])
def test_a_sharper_hill_is_never_less_sure_and_at_last_wholly_sure(width_px: int, height_px: int) -> None:
    torch.manual_seed(0)
    cells = torch.arange(56.0)
    x, y = 3 + 50 * torch.rand(2, 17, 1, 1)
    hills = -((cells - x) ** 2 + (cells[:, None] - y) ** 2) / 8
    maps = torch.stack([hills * sharpness for sharpness in _SHARPNESS])
    box = torch.tensor([[0.0, 0.0, width_px, height_px]])
    confidence = torch.stack([heatmap.keypoints([(person[None], box)]).confidence[0] for person in maps])
    assert confidence.diff(dim=0).min() > -1e-3  # the pixel that is highest may change on the way
    assert confidence[0].max() < 0.2
    assert confidence[-1].min() > 0.99
    assert confidence.max() <= 1
