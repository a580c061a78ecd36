"""Parts whose layers compute in 8 bits, as TensorRT wants to be told: quantise and dequantise in the graph itself.

TensorRT 11 takes no precision but the graph's own. Prepared and not used yet: no mode asks for it, for how quick and
how much like fp16 it is can only be measured on a GPU. The operator is NVIDIA modelopt's, the one that torch_tensorrt
has a converter for; modelopt would calibrate too, but what it leaves in a part cannot be exported on a CPU.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from configs.errors import EngineError

_CHANNELS_MIN = 18
"""Layers that give fewer channels are predictions: rounding shows there, and they take no time."""
_BITS = 8


def in_8_bits(part: nn.Module, seen: Iterable[Tensor]) -> nn.Module:
    """Give a copy of a part whose convolutions and matrix products take rounded inputs and weights.

    Weights are rounded channel by channel, inputs as a whole, symmetrically, within the largest values that occur.

    Args:
        part: one of `engines.model.keypoint_rcnn`; it is left as it is.
        seen: what the part is given for pictures of the kind that it will see; a hundred of them.

    Raises:
        EngineError: modelopt is not installed, or nothing was seen.
    """
    _require_operator()
    part = copy.deepcopy(part)
    layers = {name: layer for name, layer in part.named_modules() if _heavy(layer)}
    largest = _largest_inputs(part, layers, seen)
    if set(largest) != set(layers):
        raise EngineError("8 bits cannot be prepared: the part was given nothing to look at")
    for name, layer in layers.items():
        parent, _, own = name.rpartition(".")
        setattr(part.get_submodule(parent), own, _Rounded(layer, largest[name]))
    return part


class _Rounded(nn.Module):
    """A convolution or matrix product of rounded inputs and weights."""

    input_max: Tensor
    weight_max: Tensor

    def __init__(self, layer: nn.Conv2d | nn.Linear, input_max: Tensor) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("input_max", input_max)
        self.register_buffer("weight_max", layer.weight.abs().amax(tuple(range(1, layer.weight.dim())), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        weight = _rounded(self.layer.weight, self.weight_max)
        found: Tensor = functional_call(self.layer, {"weight": weight}, (_rounded(x, self.input_max),))
        return found


def _rounded(x: Tensor, largest: Tensor) -> Tensor:
    rounded: Tensor = torch.ops.tensorrt.quantize_op(x, largest, _BITS, 0, False, False)
    return rounded


def _heavy(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d | nn.Linear) and len(layer.weight) >= _CHANNELS_MIN


def _largest_inputs(part: nn.Module, layers: dict[str, nn.Module], seen: Iterable[Tensor]) -> dict[str, Tensor]:
    largest: dict[str, Tensor] = {}

    def note(name: str, x: Tensor) -> None:
        largest[name] = torch.maximum(largest.get(name, x.new_zeros(())), x.detach().abs().amax())

    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=name: note(name, given[0]))
        for name, layer in layers.items()
    ]
    with torch.no_grad():
        for x in seen:
            part(x)
    for hook in hooks:
        hook.remove()
    return largest


def _require_operator() -> None:
    if hasattr(torch.ops.tensorrt, "quantize_op"):
        return
    try:
        importlib.import_module("modelopt.torch.quantization")
    except ImportError as error:
        raise EngineError(
            f"8 bits in TensorRT need a package that cannot be imported ({error}): pip install nvidia-modelopt"
        ) from error
