"""One training from its settings to its files: joins network, pictures, loop and journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from configs.errors import ConfigError
from configs.train import TrainSettings
from engines.bottom_up.network import BottomUp
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.network import Network
from engines.ops.skeleton import Skeleton
from engines.train import initial, score
from engines.train.batches import Ahead, numbered
from engines.train.bottom_up import TrainedBottomUp
from engines.train.budget import Budget, seconds
from engines.train.export import export
from engines.train.journal import Journal
from engines.train.loop import Recipe, Step, Trainer
from engines.train.material import Material, material
from engines.train.network import LossSettings, TrainedKeypointRCNN
from engines.train.optim import Optim
from engines.train.processes import ALONE, Processes
from engines.train.schedule import Schedule

CHECKPOINT = "checkpoint.pt"


class Session:
    """A training in its folder: checkpoint.pt, last.safetensors, best.safetensors, log.jsonl, events, curves.png."""

    def __init__(
        self,
        settings: TrainSettings,
        folder: Path,
        device: torch.device,
        say: Callable[[str], None],
        processes: Processes = ALONE,
    ) -> None:
        """Make the network and read the pictures.

        Raises:
            ConfigError: settings that do not fit together.
            SourceError: the pictures cannot be read.
            EngineError: the first weights cannot be had.
        """
        self._settings, self._folder, self._processes = settings, folder, processes
        self._skeleton = Skeleton(settings.skeleton)
        how = recipe(settings, device)
        torch.manual_seed(settings.run.seed)
        self._material: Material = material(settings, say)
        network, note = initial.start(settings.init, self._skeleton.size)
        say(note)
        self._network = _trained(network, settings).to(device)
        size, rest = divmod(settings.run.batch, processes.count)
        if rest:
            raise ConfigError(f"run.batch is {settings.run.batch}; it must be divisible by {processes.count} processes")
        batches = numbered(self._material.draw, size, settings.run.seed, processes.rank * size)
        self._ahead = Ahead(batches)
        self.trainer = Trainer(self._network, how, self._ahead, processes)

    @property
    def checkpoint(self) -> Path:
        """The file that a run is resumed from."""
        return self._folder / CHECKPOINT

    def run(self, quiet: bool, stop: Callable[[], bool], resumed: bool = False) -> bool:
        """Train; whether it came to the end. Whatever ends it, what was learned is kept.

        Raises:
            EngineError: a loss is not finite.
            OutputError: a file cannot be written.
        """
        self._round_in_time()
        if not self._processes.first:
            with self._ahead:
                return self.trainer.run(lambda step: self._round_in_time())
        trainer, run = self.trainer, self._settings.run
        with self._ahead, Journal(self._folder, quiet, trainer.step if resumed else None) as journal:
            scored_at = trainer.elapsed_s

            def tell(step: Step) -> None:
                nonlocal scored_at
                self._round_in_time()
                journal.step(step)
                if step.elapsed_s - scored_at >= self._settings.validate_.every_s or step.done >= 1:
                    scored_at = step.elapsed_s
                    self._score(step, journal)

            ended = trainer.run(tell, self.checkpoint, run.save_s, stop=stop)
        export(self._folder / "last.safetensors", trainer.average.weights, self._settings.init.model)
        return ended

    def _round_in_time(self) -> None:
        """Switch rounding on when its time has come."""
        start = self._settings.quantize.start
        if start is not None and isinstance(self._network, TrainedKeypointRCNN) and self.trainer.done >= start:
            self._network.round_from_now(self._settings.quantize.passes)

    def _score(self, step: Step, journal: Journal) -> None:
        model, how = self._settings.init.model, self._settings.pictures
        with self.trainer.average.in_place(self._network):
            sides_px = (min(how.height_px, how.width_px), max(how.height_px, how.width_px))
            held_back = self._material.held_back(self._settings.validate_.pictures)
            scores = score.oks_at_truth(self._network, held_back, sides_px, self._skeleton.sigmas)
        export(self._folder / "last.safetensors", self.trainer.average.weights, model)
        if not scores:
            return
        if self._settings.validate_.ap:
            samples = self._material.held_back(self._settings.validate_.pictures)
            weights = self._folder / "last.safetensors"
            scores["AP"] = score.keypoint_ap(weights, model, sides_px[0], samples, self._skeleton)
        better = scores["oks"] > journal.best("oks")
        journal.score(step, scores)
        if better:
            export(self._folder / "best.safetensors", self.trainer.average.weights, model)

    def resume(self) -> None:
        """Go on from the folder's checkpoint.

        Raises:
            EngineError: it cannot be read, or is of another training.
        """
        self.trainer.resume(self.checkpoint)


def recipe(settings: TrainSettings, device: torch.device) -> Recipe:
    """The loop's part of the settings.

    Raises:
        ConfigError: the budget is no duration.
    """
    run, optim, schedule = settings.run, settings.optim, settings.schedule
    try:
        duration_s = seconds(run.budget) if run.budget else None
    except ValueError as error:
        raise ConfigError(f"run.budget: {error}") from error
    return Recipe(
        budget=Budget(run.steps, duration_s),
        optim=Optim(
            kind=optim.kind,
            rate=optim.rate,
            momentum=optim.momentum,
            second_beta=optim.second_beta,
            decay=optim.decay,
            rate_factors={"network.backbone.body": optim.body},
        ),
        schedule=Schedule(
            kind=schedule.kind,
            warm_up=schedule.warm_up,
            steps_at=schedule.steps_at,
            hold=schedule.hold,
            end=schedule.end,
        ),
        task_weights={str(name): weight for name, weight in settings.losses.weights.items()},
        accumulate=run.accumulate,
        clip_norm=run.clip_norm,
        average=run.average,
        precision=fastest(device) if run.precision == "auto" else run.precision,
        seed=run.seed,
    )


def _trained(network: Network, settings: TrainSettings) -> TrainedKeypointRCNN | TrainedBottomUp:
    if isinstance(network, BottomUp):
        return TrainedBottomUp(network)
    assert isinstance(network, KeypointRCNN)
    return TrainedKeypointRCNN(network, _losses(settings), settings.run.seed)


def _losses(settings: TrainSettings) -> LossSettings:
    losses = settings.losses
    return LossSettings(
        anchors=losses.anchors, proposals=losses.proposals, sigma_cells=losses.sigma_cells, jitter=losses.jitter
    )


def fastest(device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """What a device computes fastest in."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
