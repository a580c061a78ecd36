"""A training of a few numbers, as a process: prints each step's loss; it goes on from its checkpoint if there is one.

python tiny_training.py CHECKPOINT STEPS
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.train.budget import Budget
from engines.train.loop import Batch, Recipe, Trainable, Trainer
from engines.train.target import Target, nobody


class Tiny(Trainable):
    """Learns to say the mean of each picture, with dropout, so that chance matters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(4, 1)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        seen = self.head(self.body(images).mean((2, 3)))[:, 0]
        return {"mean": (seen - images.mean((1, 2, 3))).square().mean(), "size": 0.01 * self.head.weight.square().sum()}


def batch(number: int) -> Batch:
    """Two pictures that only their number decides."""
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
    return Batch(images, [nobody((8, 8), 17)] * 2)


def trainer(steps: int, **changes: object) -> Trainer:
    torch.manual_seed(1)
    recipe = Recipe(budget=Budget(steps=steps), **{"average": 0.9, **changes})  # type: ignore[arg-type]
    return Trainer(Tiny(), recipe, batch)


if __name__ == "__main__":
    kept, training = Path(sys.argv[1]), trainer(int(sys.argv[2]))
    if kept.exists():
        training.resume(kept)
    training.run(lambda step: print(step.number, step.losses["mean"].hex(), flush=True), kept, keep_every_s=0)
