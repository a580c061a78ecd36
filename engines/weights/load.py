"""Weights for a model: which file they are in, how it gets here, and whether it is for that model at all."""

from __future__ import annotations

import difflib
import fcntl
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from configs.errors import EngineError
from engines import cache_folder
from engines.model.architecture import ARCHITECTURES
from engines.model.network import Network
from engines.weights import conversion, download, state_dict, zoo
from engines.weights.folding import fold_batch_norm, modern_names
from engines.weights.networks import network_of

_BUNDLED: Final = {
    "lite": zoo.ASSETS / "lite.safetensors",
    "lite-next": zoo.ASSETS / "training/lite-next.safetensors",
    "bottom-up": zoo.ASSETS / "bottom-up.safetensors",
}
_CONVERTED_ONLY: Final = {entry.model for entry in zoo.ENTRIES.values() if entry.detectron2}
"""Models that have the shapes of others and other semantics: their files say themselves what they are."""
_CONVERSION: Final = 1
"""Raised when `convert` writes something else than before, so that nothing older is loaded."""

_KEYPOINTS: Final = 17
_EPS = 1e-5
_EPS_OF_FILE: Final = {zoo.COCO_V1.digest: 0.0}
"""SHA-256 -> what batch norm adds to the variance. torchvision's COCO_V1 was trained without."""


def load_model(model: str, weights: str = "auto", on_progress: download.Progress | None = None) -> Network:
    """A network with its weights, in fp32 on the CPU, ready to run.

    Args:
        model: an architecture's name.
        weights: a .safetensors, .pth or .pt file; the name of published weights, see `engines.weights.zoo`, which are
            downloaded once; or "auto": those that belong to the model.
        on_progress: told how a download goes; None: a line on stderr.

    Raises:
        EngineError: there is no such file and it cannot be had, it cannot be read, it is for another network, or not
            all of its numbers are finite.
    """
    if model not in ARCHITECTURES:
        raise EngineError(f"no model {model}{_near(model, ARCHITECTURES)}: there are {', '.join(ARCHITECTURES)}")
    path = _file(model, weights, on_progress)
    _check_is_for(path, model)
    given = state_dict.read(path)
    state = _folded(path, model, modern_names(given))
    with torch.device("meta"):
        network = network_of(replace(ARCHITECTURES[model], keypoints=_keypoints(state)))
    state_dict.check(path, model, wanted=network.state_dict(), got=state)
    state = {name: tensor.float() for name, tensor in state.items()}
    state_dict.check_finite(path, state, given)
    network.load_state_dict(state, assign=True)
    return network.eval().requires_grad_(False)


def _file(model: str, weights: str, on_progress: download.Progress | None) -> Path:
    if weights == "auto":
        return _BUNDLED[model] if model in _BUNDLED else _published(zoo.of_model(model)[0], on_progress)
    if not weights:
        raise EngineError(f"no name of weights: give auto or a .safetensors or .pth file{_names_of(model)}")
    entry = zoo.ENTRIES.get(weights)
    if entry is None:
        state_dict.require_file(Path(weights), f"{_near(weights, zoo.ENTRIES)}{_names_of(model)}")
        return Path(weights)
    if entry.model != model:
        raise EngineError(f"weights {weights} are for another model than {model}: use --model {entry.model}")
    return _published(entry, on_progress)


def _published(entry: zoo.Entry, on_progress: download.Progress | None) -> Path:
    """Path of published weights in the cache folder, downloaded and converted at their first use."""
    folder = cache_folder.folder() / "weights"
    ready = folder / f"{entry.name}-{_CONVERSION}.safetensors"
    if entry.detectron2 and _made_for(ready) == entry.model:
        return ready
    path = download.fetch(entry, folder, on_progress or download.on_stderr(entry.name))
    if not entry.detectron2:
        return path
    try:
        # The system lets go of the lock when its holder dies, however that happens.
        with (folder / f"{ready.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _made_for(ready) != entry.model:  # another process may have converted it while this one waited
                conversion.convert(path, ready, entry.model)
    except OSError as error:
        raise EngineError(f"weights file {ready} cannot be written: {error.strerror}") from error
    return ready


def _made_for(path: Path) -> str | None:
    return state_dict.metadata(path).get(state_dict.ARCHITECTURE_KEY)


def _check_is_for(path: Path, model: str) -> None:
    made_for = _made_for(path)
    if made_for is not None and made_for not in ARCHITECTURES:
        raise EngineError(f"weights file {path} is for model {made_for[:40]!r}, which is not among those there are")
    if made_for is not None and made_for != model:
        raise EngineError(f"weights file {path} is for another model than {model}: use --model {made_for}")
    if path.suffix.lower() == ".pkl" or (made_for is None and model in _CONVERTED_ONLY):
        raise EngineError(
            f"weights file {path} does not say that it is for model {model}: "
            f"convert it from Detectron2's with python -m engines.convert {path} -o FILE.safetensors"
        )


def _near(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name.lower(), known, n=1)  # torchvision writes names of weights in capitals
    return f" (did you mean {near[0]}?)" if near else ""


def _names_of(model: str) -> str:
    names = [entry.name for entry in zoo.of_model(model)]
    return f"; published for model {model}: {', '.join(names)}" if names else ""


def _folded(path: Path, model: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    if not any(name.endswith(".running_var") for name in state):
        return state
    try:
        return fold_batch_norm(state, _EPS_OF_FILE.get(_sha256(path), _EPS))
    except ValueError as error:
        raise EngineError(f"weights file {path} does not fit model {model}: {error}") from None


def _keypoints(state: Mapping[str, Tensor]) -> int:
    """How many heat maps weights are for: those of another skeleton than COCO's say so by their shape."""
    bias = state.get("roi_heads.keypoint_predictor.kps_score_lowres.bias", state.get("heat.bias"))
    return len(bias) if bias is not None and bias.dim() == 1 and len(bias) else _KEYPOINTS


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
