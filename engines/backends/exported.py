"""The parts as graphs for a compiler: fp32 in, a flat tuple of fp32 out, computed in fp16 or fp32 between."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from configs.errors import EngineError
from engines.model.parts import PartSpec


def exported_part(part: PartSpec, image_hw: tuple[int, int], dtype: torch.dtype) -> ExportedProgram:
    """One part as a graph: a float32 tensor in, a flat tuple of float32 tensors out, computed in `dtype`.

    TensorRT 11 computes in what the graph says, so the graph is what makes an engine fp16.

    Args:
        part: it is left as it is; the graph takes 1 to `part.rows.most` rows.
        image_hw: height and width of the pictures, multiples of 32. Only the part that takes pictures depends on it.
        dtype: float16 or float32.

    Raises:
        EngineError: the dtype is another. TensorRT 11.0 cannot run a transposed convolution in bfloat16.
    """
    if dtype not in (torch.float16, torch.float32):
        raise EngineError(f"backend tensorrt computes in float16 or float32, not in {dtype}")
    example = torch.zeros(2, *part.row_of(image_hw), device=next(part.module.parameters()).device)
    shapes = ({0: Dim("batch", min=1, max=part.rows.most)},)
    with torch.inference_mode(False), torch.no_grad():
        return torch.export.export(_Computed(part.module, dtype).eval(), (example,), dynamic_shapes=shapes)


class _Computed(nn.Module):
    """A part computed in a type of its own, with fp32 around it and its results in one flat tuple."""

    def __init__(self, part: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.part = copy.deepcopy(part).to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(y.float() for y in self.part(x.to(self.dtype)))
