"""Weights out of a training, as run_pipeline and engines.evaluate read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from engines.train.checkpoint import halved
from engines.weights import state_dict
from engines.weights.folding import fold_batch_norm, modern_names

_PREFIX = "network."
_EPS = 1e-5
"""What batch norm adds to the variance, in `engines.model.norm` and in torch."""


def export(path: Path, weights: Mapping[str, Tensor], model: str) -> None:
    """Write a trained network's weights, batch norm folded, in fp16, as a .safetensors file that names its model.

    Args:
        path: of the file.
        weights: of a `TrainedKeypointRCNN`.
        model: name of the architecture.

    Raises:
        EngineError: the file cannot be written.
    """
    own = {name.removeprefix(_PREFIX): each.cpu() for name, each in weights.items() if name.startswith(_PREFIX)}
    folded = fold_batch_norm(modern_names(own), _EPS)
    whole = {name: each.contiguous() for name, each in halved(folded).items()}
    state_dict.write(path, whole, {state_dict.ARCHITECTURE_KEY: model})
