"""How far keypoints move when channels are dropped by chance: what a keypoint head is not sure of.

Sources: https://arxiv.org/abs/1506.02142; whole channels are dropped, as in https://arxiv.org/abs/1411.4280.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class MonteCarlo:
    """Dropout before the first layer of a keypoint head, in each of several passes another."""

    passes: int
    """How often the head is asked, 2 or more."""
    share: float
    """Of the channels of a person's RoI features that are dropped in a pass, 0..1."""

    def factors(self, image: Tensor, channels: int, seeds: Sequence[int]) -> Tensor:
        """(passes, N, channels) that RoI features are multiplied by: 0, or so much that their mean stays.

        Those of a person depend on the picture's seed and on how many people of the picture come before, on nothing
        else: not on what other pictures are looked at together with it.

        Args:
            image: (N,) which picture each person is in, rising.
            channels: of the RoI features.
            seeds: a seed of each picture, 0 or more.
        """
        counts = torch.bincount(image, minlength=len(seeds)).tolist()
        drawn = [
            np.random.default_rng(seed).random((count, self.passes, channels), np.float32)
            for seed, count in zip(seeds, counts, strict=True)
        ]
        kept = torch.from_numpy(np.concatenate(drawn)).transpose(0, 1) >= self.share
        return kept.float() / (1 - self.share)
