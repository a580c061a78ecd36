"""State dicts made alike: names as torchvision writes them today, batch norm folded into the convolutions."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def modern_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names as torchvision writes them since 0.13; its published files are older."""
    names = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if name.startswith(("backbone.fpn.inner_blocks.", "backbone.fpn.layer_blocks.")) and len(parts) == 5:
            parts.insert(4, "0")
        if name in ("rpn.head.conv.weight", "rpn.head.conv.bias"):
            parts[3:3] = ["0", "0"]
        if parts[-1] != "num_batches_tracked":
            names[".".join(parts)] = tensor
    return names


def fold_batch_norm(state: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """State dict whose convolutions do what they and the batch norm after them did.

    Of names as in torchvision: `bn2` follows `conv2`, `downsample.1` follows `downsample.0`, `conv.3` follows `conv.2`.

    Args:
        state: names and tensors of a network.
        eps: what its batch norm adds to the variance.

    Raises:
        ValueError: a batch norm is not whole, or its convolution is missing or of another size.
    """
    folded = dict(state)
    for name in [name for name in state if name.endswith(".running_var")]:
        norm = name.removesuffix(".running_var")
        before = _followed_by(norm)
        folded.pop(f"{norm}.num_batches_tracked", None)
        try:
            parts = [folded.pop(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
            convolution = folded[f"{before}.weight"]
        except KeyError as error:
            raise ValueError(f"it has no {error.args[0]}") from None
        bias = folded.get(f"{before}.bias", torch.zeros(convolution.shape[:1]))
        if convolution.dim() != 4 or any(part.shape != convolution.shape[:1] for part in (*parts, bias)):
            raise ValueError(f"its {norm} is not of the size of its {before}, {tuple(convolution.shape)}")
        scale, shift, mean, variance = (part.double() for part in parts)
        scale = scale / (variance + eps).sqrt()
        folded[f"{before}.weight"] = (convolution * scale[:, None, None, None]).float()
        folded[f"{before}.bias"] = (shift + (bias - mean) * scale).float()
    return folded


def _followed_by(norm: str) -> str:
    """Name of the convolution before a batch norm."""
    parent, _, last = norm.rpartition(".")
    before = str(int(last) - 1) if last.isdecimal() else last.replace("bn", "conv")
    return f"{parent}.{before}".lstrip(".")
