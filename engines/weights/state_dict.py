"""State dicts: read without running what is in a file, checked name by name, written whole or not at all.

A file that was converted here says in its metadata what it is for and what it was made of.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter

from configs.errors import EngineError
from engines.model.architecture import Architecture
from engines.weights.networks import network_of

ARCHITECTURE_KEY: Final = "posestream.architecture"
"""In a file's metadata: the one architecture that it is for."""
SOURCE_KEY: Final = "posestream.source_sha256"
"""In a file's metadata: the SHA-256 of the file that it was converted from."""

_NUMBERS: Final = frozenset(
    (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    + (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
)
"""Kinds of numbers that all of torch computes with."""
_NAME_MAX: Final = 200
_ONE_AT_A_TIME: Final = threading.Lock()
"""What torch may read and whether it warns are switches of the whole process."""


def read(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a file. A pickle that holds anything else is refused, not run.

    Raises:
        EngineError: the file is not there, cannot be read, or holds something else.
    """
    require_file(path)
    try:
        found = load_file(path) if is_safetensors(path) else _load(path)
    except Exception as error:  # whatever a broken file makes of itself
        raise EngineError(f"weights file {path} cannot be read: {_reason(error)}") from error
    if isinstance(found, dict) and isinstance(dict.get(found, "model"), dict):
        found = dict.get(found, "model")  # as torchvision's own training script saves it
    return named(path, found)


def require_file(path: Path, instead: str = "") -> None:
    """Check that a file can be read.

    Args:
        path: the file.
        instead: said behind its name if there is none.

    Raises:
        EngineError: there is no such file, it is a folder or the like, or it is out of reach.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()  # who may not read it learns so here, in plain words
    except (FileNotFoundError, NotADirectoryError):
        raise EngineError(f"no weights file {path}{instead}") from None
    except (OSError, ValueError) as error:
        raise EngineError(f"weights file {path} cannot be read: {_reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise EngineError(f"weights file {path} is a folder: name a file in it")
    if not stat.S_ISREG(mode):
        raise EngineError(f"weights file {path} is no ordinary file")


def is_safetensors(path: Path) -> bool:
    """Whether a file's name ends in .safetensors."""
    return path.suffix.lower() == ".safetensors"


def named(path: Path, found: object) -> dict[str, Tensor]:
    """What was read from a file, checked: printable names, and dense tensors of real numbers on the CPU.

    Raises:
        EngineError: it is something else; says what.
    """
    odd = f"weights file {path} holds no state dict: names and tensors were expected"
    if not isinstance(found, dict):
        raise EngineError(f"{odd}, not a {type(found).__name__}")
    state = {}
    for name, tensor in dict.items(found):  # what a file makes may have something else for its own `items`
        if not isinstance(name, str):
            raise EngineError(f"{odd}, and a name is a {type(name).__name__}")
        if not name.isprintable() or len(name) > _NAME_MAX:
            raise EngineError(f"{odd}, and {name[:_NAME_MAX]!r} is no name")
        if not isinstance(tensor, Tensor):
            raise EngineError(f"{odd}, and {name} is a {type(tensor).__name__}")
        if not _is_plain(tensor):
            raise EngineError(f"weights file {path} holds {name} in a form that is not read: save dense tensors")
        state[name] = Tensor.detach(tensor)
    return state


def metadata(path: Path) -> dict[str, str]:
    """Metadata of a .safetensors file; empty for another file, one without any, and one that cannot be read."""
    if not is_safetensors(path) or not os.path.isfile(path):
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder of its own: others may write the same file meanwhile.
        with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent) as scratch:
            part = Path(scratch) / path.name
            save_file(dict(state), part, dict(about))
            with part.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
    except (SafetensorError, OSError) as error:
        raise EngineError(f"weights file {path} cannot be written: {' '.join(str(error).split())}") from error


def shapes(architecture: Architecture) -> dict[str, Tensor]:
    """State dict of a network of this architecture, of tensors without values."""
    with torch.device("meta"):
        return network_of(architecture).state_dict()


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


def check_finite(path: Path, made: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Look for NaN and infinity in the weights that were made of what a file had given.

    Raises:
        EngineError: there are some; says where.
    """
    odd = _not_finite(made)
    if odd:
        odd = _not_finite(given) or odd  # rather the names that are in the file
        raise EngineError(
            f"weights file {path} has NaN or infinity in {len(odd)} tensors, first in {odd[0]}: "
            "take a checkpoint from before its training went wrong"
        )


def _load(path: Path) -> object:
    # torchvision's own training script puts its arguments beside the weights.
    with _ONE_AT_A_TIME, warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
        warnings.simplefilter("ignore")  # of files that it then cannot read
        return torch.load(path, "cpu", weights_only=True)


def _reason(error: Exception) -> str:
    """Why a file cannot be read; not in torch's words, which advise to run whatever is in it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    wanted = re.search(r"(?<=GLOBAL )[\w.]{1,100}|TorchScript", str(error))
    if wanted:
        return (
            f"it wants {wanted[0]}, which no weights need: "
            "save only its state dict, torch.save(model.state_dict(), FILE)"
        )
    return (
        "it is damaged or cut short, or it holds no weights, as a web page or the pointer that git-lfs leaves: "
        "get the file anew"
    )


def _is_plain(tensor: Tensor) -> bool:
    if type(tensor) not in (Tensor, Parameter) or tensor.is_nested:
        return False
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _NUMBERS:
        return False
    # Each number lies in the file: one that is repeated without end would fill the memory.
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _not_finite(state: Mapping[str, Tensor]) -> list[str]:
    # Seldom is a sum infinite and none of its numbers, and a sum is soon made.
    return [name for name, tensor in state.items() if not (tensor.sum().isfinite() or tensor.isfinite().all())]


def _some(what: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = ", ..." if len(names) > 2 else ""
    return f"{len(names)} {what} ({', '.join(names[:2])}{more})"
