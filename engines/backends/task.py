"""What a backend is asked for, and what comes of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch

from engines.backends.prebuild import Prebuild
from engines.model.architecture import Architecture
from engines.model.network import Network
from engines.model.parts import Parts
from engines.preprocess import batch_hw, scaled_hw


class Task(NamedTuple):
    """What is to be run, and how."""

    network: Network
    architecture: Architecture
    device: torch.device
    fp16: bool = False
    """Compute in fp16, on a GPU."""
    int8: Collection[str] = ()
    """Parts that may be computed in 8 bits."""
    prebuild: Prebuild | None = None
    """Who has TensorRT's engines made, where TensorRT could be had."""

    @property
    def dtype(self) -> torch.dtype:
        """What is computed in."""
        return torch.float16 if self.fp16 else torch.float32

    @property
    def usual_hw(self) -> tuple[int, int]:
        """Height and width of what the network sees of HD video."""
        return batch_hw([scaled_hw(720, 1280, self.architecture)])


class Chosen(NamedTuple):
    """A backend, ready to run."""

    parts: Parts
    backend: str
    """Its name."""
    fp16: bool
    """Whether it computes in fp16."""
    notes: list[str]
    """Lines to be shown: what `auto` chose and why, and what it could not do."""
