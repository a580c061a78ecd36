"""The parts as graphs for a compiler: fp32 in, a flat tuple of fp32 out, computed in fp16 or fp32 between."""

from __future__ import annotations

import copy
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from configs.errors import EngineError
from engines.model.keypoint_rcnn import (
    BOX_CELLS,
    KEYPOINT_CELLS,
    BoxHeadPart,
    Features,
    FeaturesPart,
    KeypointHeadPart,
    KeypointRCNN,
)


class Rows(NamedTuple):
    """How many rows a part is given in one call. More are cut into several calls."""

    usual: int
    """What TensorRT is quickest with."""
    max: int


ROWS: Final = {
    "features": Rows(usual=1, max=16),
    "box_head": Rows(usual=1000, max=16 * 1000),  # all proposals of 16 pictures, of the model with most
    "keypoint_head": Rows(usual=8, max=64),  # a person's maps take 2 MB: all 1600 of 16 pictures would take 3 GB
}

PARTS: Final[dict[str, type[FeaturesPart | BoxHeadPart | KeypointHeadPart]]] = {
    "features": FeaturesPart,
    "box_head": BoxHeadPart,
    "keypoint_head": KeypointHeadPart,
}


def exported_part(network: KeypointRCNN, name: str, image_hw: tuple[int, int], dtype: torch.dtype) -> ExportedProgram:
    """Give one part as a graph: a float32 tensor in, a flat tuple of float32 tensors out, computed in `dtype`.

    TensorRT 11 computes in what the graph says, so the graph is what makes an engine fp16.

    Args:
        network: the network; it is left as it is.
        name: "features", "box_head" or "keypoint_head"; it takes 1 to `ROWS[name].max` rows.
        image_hw: height and width of the pictures, multiples of 32. The heads do not depend on it.
        dtype: float16 or float32.

    Raises:
        EngineError: the dtype is another. TensorRT 11.0 cannot run a transposed convolution in bfloat16.
    """
    return graph(PARTS[name](network), row_shape(network, name, image_hw), ROWS[name].max, dtype)


def graph(part: nn.Module, row: tuple[int, int, int], rows_max: int, dtype: torch.dtype) -> ExportedProgram:
    """Give a part, or a rounded copy of it (`engines.backends.qdq`), as `exported_part` does.

    Raises:
        EngineError: as there.
    """
    if dtype not in (torch.float16, torch.float32):
        raise EngineError(f"backend tensorrt computes in float16 or float32, not in {dtype}")
    example = torch.zeros(2, *row, device=next(part.parameters()).device)
    shapes = ({0: Dim("batch", min=1, max=rows_max)},)
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(_Computed(part, dtype).eval(), (example,), dynamic_shapes=shapes)


def exported_parts(
    model: KeypointRCNN, image_hw: tuple[int, int], dtype: torch.dtype = torch.float16
) -> dict[str, ExportedProgram]:
    """Give all three parts as `exported_part` does, by name."""
    return {name: exported_part(model, name, image_hw, dtype) for name in ROWS}


def row_shape(network: KeypointRCNN, name: str, image_hw: tuple[int, int]) -> tuple[int, int, int]:
    """Give the shape of one row of what a part is given."""
    channels = network.rpn.head.cls_logits.in_channels
    shapes = {
        "features": (3, *image_hw),
        "box_head": (channels, BOX_CELLS, BOX_CELLS),
        "keypoint_head": (channels, KEYPOINT_CELLS, KEYPOINT_CELLS),
    }
    return shapes[name]


class _Computed(nn.Module):
    """A part computed in a type of its own, with fp32 around it and its results in one flat tuple."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part = copy.deepcopy(part).to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = self.part(x.to(self.dtype))
        if isinstance(found, Features):
            found = (*found.levels, *found.objectness, *found.deltas)
        return tuple(y.float() for y in (found if isinstance(found, tuple) else (found,)))
