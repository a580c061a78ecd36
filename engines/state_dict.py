"""State dicts: read without running what is in a file, checked name by name, written whole or not at all.

A file that was converted here says in its metadata what it is for and what it was made of.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from engines.errors import EngineError
from engines.model.architecture import Architecture
from engines.model.keypoint_rcnn import KeypointRCNN

ARCHITECTURE_KEY: Final = "posestream.architecture"
"""In a file's metadata: the one architecture that it is for."""
SOURCE_KEY: Final = "posestream.source_sha256"
"""In a file's metadata: the SHA-256 of the file that it was converted from."""


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


def metadata(path: Path) -> dict[str, str]:
    """Give what a file says of itself; empty when it is no .safetensors file, says nothing, or cannot be read."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def write(path: Path, state: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write a .safetensors file with its metadata; until it is whole, what was at `path` stays there.

    Raises:
        EngineError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(dict(state), part, dict(about))
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except (SafetensorError, OSError) as error:
        raise EngineError(f"weights file {path} cannot be written: {' '.join(str(error).split())}") from error


def shapes(architecture: Architecture) -> dict[str, Tensor]:
    """Give the state dict that a network has, of tensors without values."""
    with torch.device("meta"):
        return KeypointRCNN(architecture).state_dict()


def check(path: Path, model: str, wanted: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    """Compare names and shapes of the weights of a file with those of a model.

    Raises:
        EngineError: they differ; says in what.
    """
    odd_shapes = [
        f"{name} {tuple(got[name].shape)} not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in got and got[name].shape != tensor.shape
    ]
    faults = [
        _some("missing", sorted(wanted.keys() - got.keys())),
        _some("unexpected", sorted(got.keys() - wanted.keys())),
        _some("of another shape", odd_shapes),
    ]
    if any(faults):
        text = "; ".join(fault for fault in faults if fault)
        raise EngineError(f"weights file {path} does not fit model {model}: {text}")


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


def _some(what: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = ", ..." if len(names) > 2 else ""
    return f"{len(names)} {what} ({', '.join(names[:2])}{more})"
