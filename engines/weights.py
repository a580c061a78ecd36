"""Weight files: which one belongs to a model, read without running what is in it, checked name by name."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engines.model.architecture import LITE, R50, Architecture
from engines.model.keypoint_rcnn import KeypointRCNN

ASSETS = Path(__file__).parent / "assets"

ARCHITECTURES: Final[Mapping[str, Architecture]] = {architecture.name: architecture for architecture in (LITE, R50)}

_BUNDLED: Final = {"lite": ASSETS / "lite.safetensors"}

_EPS = 1e-5
_EPS_OF_FILE: Final = {"fc266e95": 0.0}
"""SHA-256 starts with -> what batch norm adds to the variance. torchvision's COCO_V1 was trained without."""


class EngineError(RuntimeError):
    """The network cannot be loaded or run."""


def load_model(model: str, weights: str = "auto") -> KeypointRCNN:
    """Give a network with its weights, in fp32 on the CPU, ready to run.

    Args:
        model: an architecture's name.
        weights: a .safetensors, .pth or .pt file, or "auto": the one that belongs to the model.

    Raises:
        EngineError: there is no such file, it cannot be read, or it holds another network.
    """
    path = Path(weights) if weights != "auto" else _own_file(model)
    state = _modern_names(read(path))
    if any(name.endswith(".running_var") for name in state):
        state = fold_batch_norm(state, _EPS_OF_FILE.get(_sha256(path)[:8], _EPS))
    with torch.device("meta"):
        network = KeypointRCNN(ARCHITECTURES[model])
    _check(path, model, wanted=network.state_dict(), got=state)
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return network.eval().requires_grad_(False)


def read(path: Path) -> dict[str, Tensor]:
    """Give the named tensors of a file. A pickle that holds anything else is refused, not run.

    Raises:
        EngineError: the file is not there or cannot be read.
    """
    if not path.is_file():
        raise EngineError(f"no weights file {path}")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, OSError, EOFError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise EngineError(f"weights file {path} cannot be read: {reason}") from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # as torchvision's own training script saves it
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise EngineError(f"weights file {path} holds no state dict: names and tensors were expected")
    return state


def fold_batch_norm(state: Mapping[str, Tensor], eps: float) -> dict[str, Tensor]:
    """Give a state whose convolutions do what they and the batch norm after them did.

    Of names as in torchvision: `bn2` follows `conv2`, `downsample.1` follows `downsample.0`.
    """
    folded = dict(state)
    for name in [name for name in state if name.endswith(".running_var")]:
        norm = name.removesuffix(".running_var")
        scale, shift, mean, variance = (
            folded.pop(f"{norm}.{part}").double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / (variance + eps).sqrt()
        before = (
            norm.removesuffix("downsample.1") + "downsample.0" if norm.endswith(".1") else norm.replace("bn", "conv")
        )
        convolution = folded[f"{before}.weight"]
        folded[f"{before}.weight"] = (convolution * scale[:, None, None, None]).float()
        folded[f"{before}.bias"] = (shift - mean * scale).float()
    return folded


def _own_file(model: str) -> Path:
    if model not in _BUNDLED:
        raise EngineError(f"the weights of model {model} are not at hand: give --weights FILE, or use --model lite")
    return _BUNDLED[model]


def _modern_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def _check(path: Path, model: str, wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    shapes = [
        f"{name} {tuple(got[name].shape)} not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in got and got[name].shape != tensor.shape
    ]
    faults = [
        _some("missing", sorted(wanted.keys() - got.keys())),
        _some("unexpected", sorted(got.keys() - wanted.keys())),
        _some("of another shape", shapes),
    ]
    if any(faults):
        text = "; ".join(fault for fault in faults if fault)
        raise EngineError(f"weights file {path} does not fit model {model}: {text}")


def _some(what: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = ", ..." if len(names) > 2 else ""
    return f"{len(names)} {what} ({', '.join(names[:2])}{more})"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
