"""A training without chance of its own, by as many processes as torchrun starts: the first one prints each loss.

torchrun --nproc-per-node 2 parallel_training.py PICTURES STEPS
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from tiny_training import Tiny
from torch import nn

from engines.train.batches import numbered
from engines.train.budget import Budget
from engines.train.loop import Recipe, Step, Trainer
from engines.train.optim import Optim
from engines.train.processes import joined
from engines.train.target import Sample, nobody


class NoChance(Tiny):
    """Without dropout and batch norm each picture counts by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.unused = nn.Linear(2, 2)


def draw(rng: np.random.Generator) -> Sample:
    return Sample(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), nobody((8, 8), 17))


def train(pictures: int, steps: int) -> list[Step]:
    told: list[Step] = []
    torch.manual_seed(1)
    with joined(gpus=False) as processes:
        share = pictures // processes.count
        batches = numbered(draw, share, 0, processes.rank * share)
        recipe = Recipe(budget=Budget(steps, 600), optim=Optim(kind="sgd", rate=0.5), average=0.9, accumulate=2)
        Trainer(NoChance(), recipe, batches, processes).run(told.append)
        return told if processes.first else []


if __name__ == "__main__":
    for step in train(int(sys.argv[1]), int(sys.argv[2])):
        print(step.number, step.samples, *(float(value).hex() for value in step.losses.values()), flush=True)
