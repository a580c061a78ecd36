"""A stacked hourglass for the keypoints of one object in the middle of a picture.

Source: https://arxiv.org/abs/1603.06937, with fewer channels where the picture is large, so that a CPU trains it.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

ARCHITECTURE: Final = "hourglass-truck"
"""In a weights file: what it is for."""
STRIDE: Final = 4
"""Pixels of the input a cell of the heat maps."""
WIDTHS: Final = (64, 80, 112, 112, 112)
"""Channels at 64, 32, 16, 8 and 4 cells a side."""
_STACKS: Final = 2


class HourglassNet(nn.Module):
    """(B, 3, 256, 256) in 0..1 to one (B, K, 64, 64) of heat-map logits a stack, the last one the best."""

    def __init__(self, keypoints: int, widths: tuple[int, ...] = WIDTHS, stacks: int = _STACKS) -> None:
        super().__init__()
        first = widths[0]
        self.stem = nn.Sequential(
            _convolution(3, first // 4, 5, 2), _convolution(first // 4, first, 3, 2), _Residual(first, first)
        )
        self.hourglasses = nn.ModuleList(_Hourglass(widths) for _ in range(stacks))
        self.features = nn.ModuleList(_convolution(first, first, 1) for _ in range(stacks))
        self.maps = nn.ModuleList(nn.Conv2d(first, keypoints, 1) for _ in range(stacks))
        self.maps_back = nn.ModuleList(nn.Conv2d(keypoints, first, 1) for _ in range(stacks - 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Logits by stack."""
        x = self.stem(2 * images - 1)
        found: list[Tensor] = []
        for at, hourglass in enumerate(self.hourglasses):
            features = self.features[at](hourglass(x))
            found.append(self.maps[at](features))
            if at < len(self.maps_back):
                x = x + features + self.maps_back[at](found[-1])
        return found


class _Hourglass(nn.Module):
    """(B, widths[0], h, w) to the same: down to the coarsest level and back up, each level with a way across."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        here, coarser = widths[:2]
        self.across = _Residual(here, here)
        self.down = _Residual(here, coarser)
        self.inner = _Hourglass(widths[1:]) if len(widths) > 2 else _Residual(coarser, coarser)
        self.up = _Residual(coarser, here)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.up(self.inner(self.down(nn.functional.max_pool2d(x, 2))))
        across: Tensor = self.across(x)
        return across + nn.functional.interpolate(inner, scale_factor=2.0, mode="nearest")


class _Residual(nn.Module):
    """(B, before, h, w) to (B, after, h, w): a bottleneck of three convolutions, added to what came in."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        middle = after // 2
        self.way = nn.Sequential(
            _convolution(before, middle, 1),
            _convolution(middle, middle, 3),
            nn.Conv2d(middle, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.beside = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.beside(x) + self.way(x))


def _convolution(before: int, after: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
