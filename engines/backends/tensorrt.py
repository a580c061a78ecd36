"""The parts as TensorRT runs them on an NVIDIA GPU: one engine each, in fp16, with fp32 going in and coming out.

Building an engine takes minutes and may crash, so nobody builds here: `python -m engines.compile` does, and what it
made is loaded. See `prebuild` for who calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from configs.errors import EngineError
from engines.backends.tensorrt_engine import Maker, engine_cache, key, load, require_tensorrt
from engines.model.network import Network
from engines.model.parts import FP16_MAX, Parts, PartSpec, Run, in_groups

Absent = Callable[[str, tuple[int, int]], Run]
"""From a part's name and the height and width of pictures whose engine has not been made to what runs it instead."""
Load = Callable[[str, tuple[int, int]], Run | None]
"""From a part's name and the pictures' height and width to the part, ready to run; None: its engine was not made."""
_ANY_HW = (0, 0)
"""A part that takes no pictures is the same for pictures of every size."""


def build(network: Network, device: torch.device, dtype: torch.dtype, absent: Absent) -> Parts:
    """A network's parts, run by engines built before. Each size of picture has an engine of its own.

    Raises:
        EngineError: the device is no NVIDIA GPU, TensorRT is not installed, or the heads' engines have not been made.
    """
    require_tensorrt(device)
    maker = Maker(network, device, dtype, engine_cache())
    return parts_of(network.parts(), lambda name, image_hw: load(maker, name, image_hw), device, absent)


def usable(device: torch.device) -> bool:
    """Whether TensorRT is installed and the device is a GPU for it."""
    try:
        require_tensorrt(device)
    except EngineError:
        return False
    return True


def obstacle(network: Network, device: torch.device, dtype: torch.dtype) -> str:
    """Why `build` cannot load the engines of the heads; empty if it can.

    Raises:
        EngineError: the device is no NVIDIA GPU, or TensorRT is not installed.
    """
    require_tensorrt(device)
    try:
        maker = Maker(network, device, dtype, engine_cache())
    except EngineError as error:
        return str(error)
    heads = [name for name, part in network.parts().items() if not part.takes_pictures]
    if all(maker.cache.load(key(maker, name, _ANY_HW)) is not None for name in heads):
        return ""
    return "; ".join(maker.cache.notes) or "they have not been built yet"


def parts_of(specs: Mapping[str, PartSpec], load: Load, device: torch.device, absent: Absent) -> Parts:
    """Parts that run loaded engines.

    Raises:
        EngineError: one that takes no pictures has none.
    """
    run = {name: (_by_size if spec.takes_pictures else _head)(name, spec, load, absent) for name, spec in specs.items()}
    return Parts(run, device, FP16_MAX)


def _head(name: str, spec: PartSpec, load: Load, _: Absent) -> Run:
    run = load(name, _ANY_HW)
    if run is None:
        raise EngineError(f"backend tensorrt has no engine of {name}: python -m engines.compile builds it")
    return lambda rows: in_groups(run, rows, spec.rows.most)


def _by_size(name: str, spec: PartSpec, load: Load, absent: Absent) -> Run:
    by_size: dict[tuple[int, int], Run] = {}

    def run(images: Tensor) -> Sequence[Tensor]:
        size = (images.shape[2], images.shape[3])
        if size not in by_size:
            engine = load(name, size)
            by_size[size] = (lambda rows: in_groups(engine, rows, spec.rows.most)) if engine else absent(name, size)
        return by_size[size](images)

    return run
