"""State dicts made alike: names as torchvision writes them today, batch norm folded into the convolutions."""

from __future__ import annotations

from collections.abc import Mapping

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
    """Give a state whose convolutions do what they and the batch norm after them did.

    Of names as in torchvision: `bn2` follows `conv2`, `downsample.1` follows `downsample.0`.

    Raises:
        ValueError: a batch norm is not whole, or its convolution is missing or of another size.
    """
    folded = dict(state)
    for name in [name for name in state if name.endswith(".running_var")]:
        norm = name.removesuffix(".running_var")
        before = (
            norm.removesuffix("downsample.1") + "downsample.0" if norm.endswith(".1") else norm.replace("bn", "conv")
        )
        try:
            parts = [folded.pop(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
            convolution = folded[f"{before}.weight"]
        except KeyError as error:
            raise ValueError(f"it has no {error.args[0]}") from None
        if convolution.dim() != 4 or any(part.shape != convolution.shape[:1] for part in parts):
            raise ValueError(f"its {norm} is not of the size of its {before}, {tuple(convolution.shape)}")
        scale, shift, mean, variance = (part.double() for part in parts)
        scale = scale / (variance + eps).sqrt()
        folded[f"{before}.weight"] = (convolution * scale[:, None, None, None]).float()
        folded[f"{before}.bias"] = (shift - mean * scale).float()
    return folded
