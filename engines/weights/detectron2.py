"""Detectron2's Keypoint R-CNN checkpoints: read without running what is in them, and said in torchvision's words.

What differs from torchvision's files, other than names: pixels are BGR, the person's class comes before the
background's, and only the person has box deltas. Source of all of it:
https://github.com/facebookresearch/detectron2, detectron2/modeling and detectron2/layers/batch_norm.py.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from configs.errors import EngineError
from engines.model.architecture import Architecture
from engines.weights import state_dict
from engines.weights.folding import fold_batch_norm

_EPS: Final = 1e-5
"""What its FrozenBatchNorm2d adds to the variance."""
_IGNORED: Final = ("pixel_mean", "pixel_std", "proposal_generator.anchor_generator.")
"""Beginnings of names of what is no weight; only some checkpoints have it."""
_STEM: Final = "backbone.body.conv1.weight"
_KEYPOINT_HEAD: Final = "roi_heads.keypoint_head."
_RENAMED: Final[tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]] = (
    (r"^backbone\.bottom_up\.stem\.", "backbone.body."),
    (r"^backbone\.bottom_up\.res(\d)\.", lambda found: f"backbone.body.layer{int(found[1]) - 1}."),
    (r"\.shortcut\.norm\.", ".downsample.1."),
    (r"\.shortcut\.", ".downsample.0."),
    (r"\.conv(\d)\.norm\.", r".bn\1."),
    (r"^backbone\.fpn_lateral(\d)\.", lambda found: f"backbone.fpn.inner_blocks.{int(found[1]) - 2}.0."),
    (r"^backbone\.fpn_output(\d)\.", lambda found: f"backbone.fpn.layer_blocks.{int(found[1]) - 2}.0."),
    (r"^proposal_generator\.rpn_head\.conv\.", "rpn.head.conv.0.0."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "rpn.head.cls_logits."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "rpn.head.bbox_pred."),
    (r"^roi_heads\.box_head\.fc1\.", "roi_heads.box_head.fc6."),
    (r"^roi_heads\.box_head\.fc2\.", "roi_heads.box_head.fc7."),
    (r"^roi_heads\.keypoint_head\.score_lowres\.", "roi_heads.keypoint_predictor.kps_score_lowres."),
    # Each convolution is followed by a ReLU, which counts too.
    (r"^roi_heads\.keypoint_head\.conv_fcn(\d)\.", lambda found: f"{_KEYPOINT_HEAD}{2 * int(found[1]) - 2}."),
)
"""Pattern in Detectron2's name -> what torchvision has there; applied one after the other."""


class _Kind:
    """What stands for a numpy.dtype in a pickle: a kind of number, checked when it is used."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        kind = np.dtype(self.code).newbyteorder(">" if self.order == ">" else "<")
        if kind.kind not in "fiu":
            raise pickle.UnpicklingError(f"it holds an array of {kind.name}, not of numbers")
        return kind


class _Array:
    """What stands for a numpy.ndarray in a pickle, so that nothing of numpy is called while it is read."""

    def __init__(self, *_: object) -> None:
        self.tensor: Tensor | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Kind, bool, bytes]) -> None:
        _, shape, kind, fortran, raw = state
        flat = np.frombuffer(raw, kind.dtype()).astype(kind.dtype().newbyteorder("="))
        self.tensor = torch.from_numpy(flat.reshape(shape, order="F" if fortran else "C"))


def _encode(text: str, _: str) -> bytes:
    """Stand for _codecs.encode: Python 2 has no bytes, so a pickle that it can read has text for them."""
    return text.encode("latin1")


_ALLOWED: Final[Mapping[tuple[str, str], object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}
"""All that a pickle may name, and what it gets for it."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _ALLOWED[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants {module_name}.{global_name}, which no weights need") from None


def read(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a checkpoint: a .pkl of the model zoo, or a .pth of a training run.

    Raises:
        EngineError: the file is not there, cannot be read, or holds something else.
    """
    if path.suffix.lower() != ".pkl":
        return state_dict.read(path)
    state_dict.require_file(path)
    try:
        with path.open("rb") as file:
            found = _Unpickler(file, encoding="latin1").load()
    except Exception as error:  # whatever a broken pickle makes of itself
        reason = "".join(letter for letter in str(error) if letter.isprintable()) or type(error).__name__
        raise EngineError(f"weights file {path} cannot be read: {reason}") from error
    # What a file makes may have something else for its own `get`, or for `items`.
    state = dict.get(found, "model") if isinstance(found, dict) else None
    if not isinstance(state, dict):
        raise EngineError(f"weights file {path} is no checkpoint of Detectron2's: names and arrays were expected")
    arrays = dict.items(state)
    return state_dict.named(path, {name: x.tensor if isinstance(x, _Array) else x for name, x in arrays})


def converted(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detectron2's weights under `KeypointRCNN`'s names; unknown names and shapes are kept as they are.

    Raises:
        ValueError: a batch norm is not whole, or its convolution is missing or of another size.
    """
    weights = (name for name in state if not name.startswith(_IGNORED) and not name.endswith("num_batches_tracked"))
    ours = {_name(name): state[name] for name in weights}
    ours = fold_batch_norm(ours, _EPS)
    if _STEM in ours and ours[_STEM].dim() == 4:
        ours[_STEM] = ours[_STEM].flip(1)  # BGR to RGB
    for part in ("weight", "bias"):
        classes, deltas = (f"roi_heads.box_predictor.{layer}.{part}" for layer in ("cls_score", "bbox_pred"))
        if classes in ours and deltas in ours and ours[classes].dim() and ours[deltas].dim():
            ours[classes] = ours[classes].flip(0)  # person, background to background, person
            ours[deltas] = torch.cat((torch.zeros_like(ours[deltas]), ours[deltas]))  # the background's are not used
    return {name: tensor.float().contiguous() for name, tensor in ours.items()}


def pixel_mismatch(state: Mapping[str, Tensor], architecture: Architecture) -> str:
    """How the checkpoint's pixel mean and std differ from an architecture's; empty if equal or not recorded."""
    for name, ours in (("pixel_mean", architecture.mean), ("pixel_std", architecture.std)):
        bgr = torch.tensor(ours).flip(0) * 255
        theirs = state[name].flatten().float() if name in state else bgr
        if theirs.shape != bgr.shape:
            return f"its {name} has {len(theirs)} numbers, not {len(bgr)}"
        if not torch.allclose(theirs, bgr, rtol=1e-4):
            return f"its {name} is {_numbers(theirs)}, not {_numbers(bgr)}"
    return ""


def _numbers(values: Tensor) -> str:
    return ", ".join(f"{value:g}" for value in values.tolist())


def _name(name: str) -> str:
    for pattern, ours in _RENAMED:
        name = re.sub(pattern, ours, name)
    return name
