"""Batch norm for networks that are trained; networks that only run have it folded into their convolutions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]
"""Makes the layer after a convolution of so many channels; `nn.Identity`: none, and the convolution has a bias."""


class FrozenBatchNorm(nn.Module):
    """(B, C, H, W) to the same shape: batch norm whose statistics and weights are fixed, as torchvision's."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    running_mean: Tensor
    running_var: Tensor
    weight: Tensor
    bias: Tensor
