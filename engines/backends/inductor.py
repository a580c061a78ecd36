"""The parts as torch.compile makes them: compiled before the first picture, which takes a minute or more.

A picture that is square, where those before were not, is compiled for once more.
"""

from __future__ import annotations

import os
import shutil
import sys

import torch

from configs.errors import EngineError
from engines.backends import eager
from engines.model.network import Network
from engines.model.parts import FP16_MAX, FP32_MAX, Parts, PartSpec, Run, in_groups


def build(network: Network, device: torch.device, image_hw: tuple[int, int]) -> Parts:
    """Move a network to a device and compile its parts. Not for several threads: compiling is not made for them.

    On a CPU pictures are computed one by one: a batch is no quicker there, and would be compiled for once more.

    Args:
        network: the network.
        device: a CPU or a GPU.
        image_hw: height and width of the pictures that are likely to come.

    Raises:
        EngineError: there is no C++ compiler, which a CPU needs.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise EngineError(
            f"backend inductor needs a C++ compiler and there is no {compiler}: "
            "install one, name it in CXX, or use --backend eager"
        )
    specs, run = network.parts(), dict(eager.build(network, device).run)
    for name, spec in specs.items():
        run[name] = _compiled(run[name], one_by_one=spec.takes_pictures and device.type == "cpu")
        _warm_up(run[name], spec, device, image_hw)
    return Parts(run, device, FP32_MAX if device.type == "cpu" else FP16_MAX)


def _compiled(part: Run, one_by_one: bool) -> Run:
    compiled = torch.compile(part, dynamic=True)
    return (lambda rows: in_groups(compiled, rows, 1)) if one_by_one else compiled


@torch.inference_mode()  # as it will be called: else it is compiled anew
def _warm_up(part: Run, spec: PartSpec, device: torch.device, image_hw: tuple[int, int]) -> None:
    for rows in sorted({1, max(2, spec.rows.usual)}):  # one row is compiled for apart, all other numbers together
        part(torch.zeros(rows, *spec.row_of(image_hw), device=device))
