"""The parts as TensorRT runs them on an NVIDIA GPU: one engine each, in fp16, with fp32 going in and coming out.

Building an engine takes minutes and may crash, so nobody builds here: `python -m engines.compile` does, and what it
made is loaded. See `prebuild` for who calls it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from configs.errors import EngineError
from engines.backends.exported import ROWS
from engines.backends.parts import Parts
from engines.backends.tensorrt_engine import Maker, Run, engine_cache, key, load, require_tensorrt
from engines.model.keypoint_rcnn import Features, KeypointRCNN

Absent = Callable[[tuple[int, int]], Callable[[Tensor], Features]]
"""From height and width of pictures whose engine has not been made to what gives their features instead."""
Load = Callable[[str, tuple[int, int]], Run | None]
"""From a part's name and the pictures' height and width to the part, ready to run; None: its engine was not made."""
_HEADS = ("box_head", "keypoint_head")
_ANY_HW = (0, 0)
"""A head is the same for pictures of every size."""


def build(network: KeypointRCNN, device: torch.device, dtype: torch.dtype, absent: Absent) -> Parts:
    """Give a network's parts, with engines that have been made before. Each size of picture has one of its own.

    Raises:
        EngineError: the device is no NVIDIA GPU, TensorRT is not installed, or the heads' engines have not been made.
    """
    require_tensorrt(device)
    maker = Maker(network, device, dtype, engine_cache())
    return parts_of(lambda name, image_hw: load(maker, name, image_hw), device, absent)


def usable(device: torch.device) -> bool:
    """Tell whether TensorRT is installed and the device is a GPU for it."""
    try:
        require_tensorrt(device)
    except EngineError:
        return False
    return True


def obstacle(network: KeypointRCNN, device: torch.device, dtype: torch.dtype) -> str:
    """Say what keeps `build` from the engines of the heads; empty: nothing, they have been made.

    Raises:
        EngineError: the device is no NVIDIA GPU, or TensorRT is not installed.
    """
    require_tensorrt(device)
    try:
        maker = Maker(network, device, dtype, engine_cache())
    except EngineError as error:
        return str(error)
    if all(maker.cache.load(key(maker, name, _ANY_HW)) is not None for name in _HEADS):
        return ""
    return "; ".join(maker.cache.notes) or "they have not been built yet"


def parts_of(load: Load, device: torch.device, absent: Absent) -> Parts:
    """Give parts that run the engines that are loaded.

    Raises:
        EngineError: a head has none.
    """
    box_head, keypoint_head = (_head(load, name) for name in _HEADS)
    by_size: dict[tuple[int, int], Callable[[Tensor], Features]] = {}

    def features(images: Tensor) -> Features:
        size = (images.shape[2], images.shape[3])
        if size not in by_size:
            run = load("features", size)
            by_size[size] = _features(run) if run else absent(size)
        return by_size[size](images)

    def boxes(cut_outs: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = in_groups(box_head, cut_outs, ROWS["box_head"].max)
        return logits, deltas

    return Parts(
        features, boxes, lambda cut_outs: in_groups(keypoint_head, cut_outs, ROWS["keypoint_head"].max)[0], device
    )


def in_groups(run: Run, rows: Tensor, rows_max: int) -> list[Tensor]:
    """Run all rows, at most so many in one call; the first dimension of each result is that of `rows`."""
    if len(rows) <= rows_max:
        return run(rows)
    return [torch.cat(pieces) for pieces in zip(*(run(group) for group in rows.split(rows_max)), strict=True)]


def _head(load: Load, name: str) -> Run:
    run = load(name, _ANY_HW)
    if run is None:
        raise EngineError(f"backend tensorrt has no engine of {name}: python -m engines.compile builds it")
    return run


def _features(run: Run) -> Callable[[Tensor], Features]:
    return lambda images: Features.of(in_groups(run, images, ROWS["features"].max))
