"""What a network finds in a batch of pictures. Letters: N people of all pictures, K keypoints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from engines.model.architecture import Architecture
from engines.model.parts import Parts
from engines.model.roi import Limits


@dataclass(frozen=True)
class Found:
    """The N people of a batch, picture by picture, best first; pixels of the network's input; tensors of the host."""

    image: Tensor
    """(N,) which picture."""
    boxes: Tensor
    """(N, 4)."""
    scores: Tensor
    """(N,) in 0..1."""
    keypoints: Tensor
    """(N, K, 2)."""
    logits: Tensor
    """(N, K)."""
    confidence: Tensor
    """(N, K) in 0..1."""
    dropped: int
    """Number of people left out because their heat maps were not finite."""
    spread: Tensor | None = None
    """(N, K, 2) standard deviation of keypoints over several passes; None: there was one."""


@dataclass(frozen=True)
class Finder(ABC):
    """Finds people with one network."""

    parts: Parts
    architecture: Architecture
    limits: Limits

    @abstractmethod
    def find(self, images: Tensor, sizes: Tensor, seeds: Sequence[int] = ()) -> Found:
        """The people of pictures (B, 3, H, W), whose sizes (B, 2) without padding are height, width.

        `seeds`: of each picture, where chance plays a part; none: their numbers in the batch.
        """
