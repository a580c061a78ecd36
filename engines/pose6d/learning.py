"""The hourglass as the training loop wants it: its losses, its score, its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engines.model import losses, targets
from engines.pose6d.network import ARCHITECTURE, STRIDE, HourglassNet
from engines.train.batches import collated
from engines.train.checkpoint import halved
from engines.train.loop import Trainable
from engines.train.target import Sample, Target
from engines.weights import state_dict

_SIGMA_CELLS: Final = 1.0
_PREFIX: Final = "network."


class TrainedHourglass(Trainable):
    """Losses of a network: one for the heat maps of each of its stacks."""

    def __init__(self, network: HourglassNet) -> None:
        """Share the network's weights."""
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(self, images: Tensor, targets_: Sequence[Target]) -> dict[str, Tensor]:
        """Losses by stack; see `Trainable`. Targets are spots of one cell's deviation; hidden keypoints count too."""
        xy, weights = (
            torch.from_numpy(np.concatenate(each)).to(images.device)
            for each in ([target.keypoints for target in targets_], [target.weights for target in targets_])
        )
        stacks = [maps.float() for maps in self.network(images.contiguous(memory_format=torch.channels_last))]
        wanted = targets.soft_cells(xy / STRIDE - 0.5, (stacks[0].shape[2], stacks[0].shape[3]), _SIGMA_CELLS)
        return {
            f"stack_{at}": losses.mean(losses.soft_cells(maps, wanted), weights) for at, maps in enumerate(stacks, 1)
        }


@torch.no_grad()
def near_share(network: HourglassNet, samples: Sequence[Sample], cells: float = 1.0) -> float:
    """The share of the keypoints in the pictures that the network finds at most so many cells off."""
    network.eval()
    near = []
    for sample in samples:
        maps = network(collated([sample]).images)[-1]
        off = (targets.parabola(maps) + 0.5) * STRIDE - torch.from_numpy(sample.target.keypoints)
        counts = torch.from_numpy(sample.target.weights) > 0
        near.append((off.norm(dim=-1)[counts] <= cells * STRIDE).float())
    return float(torch.cat(near).mean())


def export(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write the weights of a `TrainedHourglass` in fp16, as a .safetensors file that names what it is for.

    Raises:
        EngineError: the file cannot be written.
    """
    own = {
        name.removeprefix(_PREFIX): each.cpu().contiguous()
        for name, each in weights.items()
        if not name.endswith("num_batches_tracked")
    }
    state_dict.write(path, halved(own), {state_dict.ARCHITECTURE_KEY: ARCHITECTURE})
