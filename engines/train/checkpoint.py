"""The state of a training on the disk: whole or not there, whenever the process is killed."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from configs.errors import EngineError, OutputError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values; what was there before stays until all is written.

    Raises:
        OutputError: it cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, RuntimeError) as error:  # torch says a full disk so
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise OutputError(f"checkpoint {path} cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """A state as it was saved. Nothing in the file is run.

    Raises:
        EngineError: it is not there, damaged, or no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise EngineError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise EngineError(f"checkpoint {path} is damaged, or none: start without it") from error
    if not isinstance(state, dict):
        raise EngineError(f"checkpoint {path} holds a {type(state).__name__}; expected the state of a training")
    return state


def halved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in fp16, for a small file; what are no real numbers stays as it is."""
    return {name: each.half() if each.is_floating_point() else each for name, each in weights.items()}
