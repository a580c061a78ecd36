"""The parts as torch.compile makes them. Each is compiled when it is first called, which takes up to a minute."""

from __future__ import annotations

import os
import shutil
import sys

import torch

from configs.errors import EngineError
from engines.backends import eager
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.parts import FP16_MAX, FP32_MAX, Parts


def build(network: KeypointRCNN, device: torch.device) -> Parts:
    """Move a network to a device and give its parts. Not for several threads: compiling is not made for them.

    Raises:
        EngineError: there is no C++ compiler, which a CPU needs.
    """
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise EngineError(
            f"backend inductor needs a C++ compiler and there is no {compiler}: "
            "install one, name it in CXX, or use --backend eager"
        )
    parts = eager.build(network, device)
    compiled = {name: torch.compile(part, dynamic=True) for name, part in parts.run.items()}
    return Parts(compiled, device, FP32_MAX if device.type == "cpu" else FP16_MAX)
