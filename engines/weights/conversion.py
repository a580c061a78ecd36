"""Detectron2's checkpoints to weights files of this engine, once it is clear which model they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch import Tensor

from configs.errors import EngineError
from engines.model.architecture import ARCHITECTURES
from engines.weights import detectron2, state_dict, zoo

MODELS: Final = [entry.model for entry in zoo.ENTRIES.values() if entry.detectron2]
"""The models that Detectron2's checkpoints may be for."""


def convert(source: Path, output: Path, model: str | None = None) -> str:
    """Write a checkpoint's weights as a .safetensors file; return the name of the model that they are for.

    Args:
        source: Detectron2's .pkl or .pth.
        output: written whole or not at all.
        model: what it is for; None: it has to be clear from the file.

    Raises:
        EngineError: the file cannot be read, is for another model or is not clear, or not all of its numbers are
            finite; or the output cannot be written.
    """
    theirs = detectron2.read(source)
    try:
        ours = detectron2.converted(theirs)
    except ValueError as error:
        raise EngineError(f"weights file {source} is not Detectron2's Keypoint R-CNN: {error}") from None
    model = model or _recognised(source, theirs, ours)
    state_dict.check(source, model, state_dict.shapes(ARCHITECTURES[model]), ours)
    fault = detectron2.pixel_mismatch(theirs, ARCHITECTURES[model])
    if fault:
        raise EngineError(f"weights file {source} is not for model {model}: {fault}")
    state_dict.check_finite(source, ours, theirs)
    with source.open("rb") as file:
        made_of = hashlib.file_digest(file, "sha256").hexdigest()
    state_dict.write(output, ours, {state_dict.ARCHITECTURE_KEY: model, state_dict.SOURCE_KEY: made_of})
    return model


def _recognised(source: Path, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> str:
    """Name of the model that a checkpoint is for.

    Names and shapes do not tell where the strides lie, nor what pixels the network wants. In Detectron2's
    configurations both go with pixel_std: 1 for networks that halve in the 1x1 convolution, ImageNet's for the others.
    """
    for entry in zoo.ENTRIES.values():
        if entry.detectron2 and entry.digest_of(source) == entry.digest:
            return entry.model
    ask = f"say which with --architecture {'|'.join(MODELS)}"
    sizes = {name: tensor.shape for name, tensor in ours.items()}
    for model in MODELS:
        if sizes == {name: tensor.shape for name, tensor in state_dict.shapes(ARCHITECTURES[model]).items()}:
            if "pixel_std" in theirs and not detectron2.pixel_mismatch(theirs, ARCHITECTURES[model]):
                return model
            raise EngineError(f"weights file {source} has the shapes of {model}, but may be of another kind: {ask}")
    raise EngineError(f"weights file {source} has the names and shapes of no known model: {ask}, to see what differs")
