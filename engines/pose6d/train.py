"""Train the network that finds the keypoints of an object, on rendered pictures of it.

    python -m engines.pose6d.train --budget 5m --out runs/truck
    python -m engines.pose6d.train --resume --out runs/truck       # go on after Ctrl-C, or after a crash

Writes best.safetensors, last.safetensors, checkpoint.pt, log.jsonl and curves.png into its folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from configs.errors import EXIT_INTERRUPTED, ConfigError, EngineError, OutputError, PosestreamError
from engines.pose6d import learning, truck
from engines.pose6d.learning import TrainedHourglass, near_share
from engines.pose6d.network import HourglassNet
from engines.pose6d.samples import crops
from engines.pose6d.views import Views
from engines.train.__main__ import interrupts
from engines.train.batches import Ahead, numbered
from engines.train.budget import Budget, seconds
from engines.train.journal import Journal
from engines.train.loop import Recipe, Step, Trainer
from engines.train.optim import Optim
from engines.train.schedule import Schedule
from engines.train.session import CHECKPOINT, fastest

_BATCH = 8
_HELD_BACK, _HELD_BACK_SEED = 64, 1_000_000_000
_SCORE_EVERY = 16
"""Scores are taken at the end and so often before, by shares of the run."""


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which one line tells what is wrong."""
    given = _parse(arguments)
    try:
        return 0 if _train(given) else EXIT_INTERRUPTED
    except PosestreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _train(given: argparse.Namespace) -> bool:
    """Whether the training came to its end."""
    checkpoint = given.out / CHECKPOINT
    if given.resume and not checkpoint.exists():
        raise EngineError(f"no {CHECKPOINT} in {given.out} to go on from; name the folder of the run by --out")
    if not given.resume and checkpoint.exists():
        raise OutputError(f"{given.out} holds a training: go on with it by --resume, or name another folder by --out")
    torch.manual_seed(given.seed)
    network = TrainedHourglass(HourglassNet(len(truck.KEYPOINTS)))
    with Ahead(numbered(crops(Views()), _BATCH, given.seed)) as batches:
        trainer = Trainer(network, _recipe(given), batches)
        if given.resume:
            trainer.resume(checkpoint)
        with Journal(given.out, given.quiet, trainer.step if given.resume else None) as journal, interrupts() as asked:
            teller = _Teller(network, trainer, journal, given.out)
            ended = trainer.run(teller, checkpoint, 240.0, stop=lambda: bool(asked))
    learning.export(given.out / "last.safetensors", trainer.average.weights)
    if not ended:
        print(f"\nstopped; go on by:  python -m engines.pose6d.train --resume --out {given.out}", file=sys.stderr)
    return ended


class _Teller:
    """Told of each step: keeps the journal, and now and then scores the average of the weights and keeps the best."""

    def __init__(self, network: TrainedHourglass, trainer: Trainer, journal: Journal, folder: Path) -> None:
        self._network, self._trainer, self._journal, self._folder = network, trainer, journal, folder
        draw = crops(Views())
        self._held_back = [draw(np.random.default_rng((_HELD_BACK_SEED, at))) for at in range(_HELD_BACK)]
        self._scored = int(trainer.done * _SCORE_EVERY)

    def __call__(self, step: Step) -> None:
        self._journal.step(step)
        if int(step.done * _SCORE_EVERY) == self._scored:
            return
        self._scored = int(step.done * _SCORE_EVERY)
        average = self._trainer.average
        with average.in_place(self._network):
            scores = {"near": near_share(self._network.network, self._held_back)}
        if scores["near"] > self._journal.best("near"):
            learning.export(self._folder / "best.safetensors", average.weights)
        self._journal.score(step, scores)


def _recipe(given: argparse.Namespace) -> Recipe:
    """RMSprop and batches of 8, as of the stacked hourglass, at four times its rate, as a CPU takes few steps."""
    try:
        duration_s = seconds(given.budget) if given.budget else None
    except ValueError as error:
        raise ConfigError(f"--budget: {error}") from error
    return Recipe(
        budget=Budget(given.steps, duration_s),
        optim=Optim(kind="rmsprop", rate=1e-3, momentum=0.0, decay=0.0),
        schedule=Schedule(warm_up=0.02, hold=0.5, end=0.02),
        average=0.998,
        precision=fastest(torch.device("cpu")),
        seed=given.seed,
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.pose6d.train",
        description="Train the network that finds the keypoints of an object, on rendered pictures of it.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/pose6d"), help="folder of the run (default: %(default)s)"
    )
    parser.add_argument("--budget", help="end after so long, as 2h or 90m (default: 5m)")
    parser.add_argument("--steps", type=int, help="end after so many steps of eight pictures")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="of all chance (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="show errors only")
    given = parser.parse_args(arguments)
    if not given.budget and not given.steps:
        given.budget = "5m"
    return given


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
