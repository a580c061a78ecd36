"""Rounding-aware training: in the forward pass layers compute with rounded numbers, and gradients pass as if unrounded.

Source: https://arxiv.org/abs/1712.05877, and for the gradients https://arxiv.org/abs/1308.3432.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_LEAST = 1e-12
_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def rounded_weights(weights: Tensor, channel_dim: int = 0) -> Tensor:
    """Weights as whole multiples, -127 to 127, of each output channel's own step: 1/127 of its largest.

    Args:
        weights: of a layer.
        channel_dim: which dimension counts the output channels.
    """
    others = [dim for dim in range(weights.dim()) if dim != channel_dim]
    step = (weights.detach().abs().amax(others, keepdim=True) / 127).clamp(min=_LEAST)
    return straight_through(weights, (weights.detach() / step).round() * step)


def rounded_inputs(x: Tensor) -> Tensor:
    """A tensor on 256 levels between its least and its largest number, 0 being one of them."""
    low, high = x.detach().amin().clamp(max=0).float(), x.detach().amax().clamp(min=0).float()
    step = ((high - low) / 255).clamp(min=_LEAST)
    zero = (low / step).round()
    levels = (x.detach().float() / step).round().clamp(zero, zero + 255)
    return straight_through(x, (levels * step).to(x.dtype))


def straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """The rounded numbers, with the gradient of x."""
    return x + (rounded - x).detach()


class Rounding:
    """Of a network: convolutions and linear layers."""

    def __init__(self, network: nn.Module, passes: float) -> None:
        """Inputs of layers are rounded in a share of the passes; weights in all of them."""
        self._layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, _LAYERS)}
        self._passes = passes

    def weights(self) -> dict[str, Tensor]:
        """Of each layer its rounded weights by the name of the exact ones."""
        return {
            f"{name}.weight": rounded_weights(layer.weight, int(isinstance(layer, nn.ConvTranspose2d)))
            for name, layer in self._layers.items()
        }

    @contextmanager
    def inputs(self, generator: torch.Generator) -> Iterator[None]:
        """Within it, by chance, what goes into layers is rounded."""
        with ExitStack() as stack:
            if torch.rand(1, generator=generator).item() < self._passes:
                for layer in self._layers.values():
                    handle = layer.register_forward_pre_hook(_round)
                    stack.callback(handle.remove)
            yield


def _round(layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (rounded_inputs(given[0]), *given[1:])
