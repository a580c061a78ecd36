"""The training loop, of any network that says its losses."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from configs.errors import EngineError
from engines.model import losses
from engines.train import checkpoint
from engines.train.budget import Budget
from engines.train.optim import Average, Optim, optimizer, set_rate
from engines.train.processes import ALONE, Processes
from engines.train.schedule import Schedule
from engines.train.target import Target


class Trainable(nn.Module, ABC):
    """A network that can be trained."""

    @abstractmethod
    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """What each task costs; scalars.

        Args:
            images: (B, 3, H, W) in 0..1.
            targets: B of them, in pixels of the images.
        """

    def at_batch(self, number: int) -> None:
        """Told before each batch its number, which is to decide all chance of the network's own generators."""


class Batch(NamedTuple):
    """What one forward pass is given."""

    images: Tensor
    targets: Sequence[Target]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained."""

    budget: Budget
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    task_weights: Mapping[str, float] = field(default_factory=dict)
    """How much each loss counts; 1 where nothing is said."""
    accumulate: int = 1
    """Batches a step."""
    clip_norm: float | None = 5.0
    """Longer gradients are cut to this; None: never."""
    average: float = 0.999
    """Decay of the weights' moving average."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """What the forward pass computes in; fp16 on GPUs alone."""
    seed: int = 0


class Step(NamedTuple):
    """What one step did."""

    number: int
    """The first is 1."""
    done: float
    """Share of the run, 0..1."""
    elapsed_s: float
    """Of the run, with what came before it was resumed."""
    samples: int
    """Pictures seen so far."""
    rate: float
    """Share of the highest."""
    losses: dict[str, float]
    """Weighted as they were added, means over the step's batches."""


class Trainer:
    """A training under way; killed and resumed it goes the same way, if its end is a number of steps."""

    def __init__(
        self, network: Trainable, recipe: Recipe, batches: Callable[[int], Batch], processes: Processes = ALONE
    ) -> None:
        """Begin at step 0.

        Args:
            network: what is trained, where it is to be trained.
            recipe: how.
            batches: gives a batch by its number; the same number gives the same batch, so that a run can be resumed.
            processes: which of those that train the same network this is; each has batches of its own.
        """
        self.network, self.recipe, self._batches, self._processes = network, recipe, batches, processes
        self._losses = processes.wrapped(network, network.losses)
        self.average = Average(network, recipe.average)
        self._optimizer = optimizer(network, recipe.optim)
        self._device = next(network.parameters()).device
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=recipe.precision == "fp16")
        self.step, self.samples, self.elapsed_s = 0, 0, 0.0
        torch.manual_seed(recipe.seed)

    @property
    def done(self) -> float:
        """The share of the run that is over, 0..1."""
        return self.recipe.budget.done(self.step, self.elapsed_s)

    def run(
        self,
        tell: Callable[[Step], None] = lambda step: None,
        keep: Path | None = None,
        keep_every_s: float = 120.0,
        clock: Callable[[], float] = time.monotonic,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end of the budget, or until asked to stop; whether it came to the end.

        Args:
            tell: told of each step.
            keep: where checkpoints go, at the end too; None: nowhere.
            keep_every_s: how often.
            clock: seconds.
            stop: asked after each step; what is done until then is kept.

        Raises:
            EngineError: a loss is not finite.
            OutputError: a checkpoint cannot be written.
        """
        last = kept = clock()
        stopped = False
        while self.done < 1 and not stopped:
            step = self._one()
            now = clock()
            self.elapsed_s, stopped = self._processes.agreed(self.elapsed_s + now - last, stop())
            last = now
            tell(step._replace(elapsed_s=self.elapsed_s, done=self.done))
            if keep and now - kept >= keep_every_s:
                self.save(keep)
                kept = now
        if keep:
            self.save(keep)
        return self.done >= 1

    def save(self, path: Path) -> None:
        """Keep all that another process needs to go on.

        Raises:
            OutputError: it cannot be written.
        """
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.weights,
            "average_updates": self.average.updates,
            "optimizer": self._optimizer.state_dict(),
            "scaler": self._scaler.state_dict(),
            "random": torch.get_rng_state(),
            "step": self.step,
            "samples": self.samples,
            "elapsed_s": self.elapsed_s,
        }
        if self._device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self._device)
        checkpoint.save(path, state)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was kept.

        Raises:
            EngineError: it cannot be read, or is of another network or optimiser.
        """
        state = checkpoint.load(path)
        try:
            self.network.load_state_dict(state["network"])
            self._optimizer.load_state_dict(state["optimizer"])
            for name, weights in state["average"].items():
                self.average.weights[name].copy_(weights)
            self.average.updates = state["average_updates"]
            self._scaler.load_state_dict(state["scaler"])
            self.step, self.samples, self.elapsed_s = state["step"], state["samples"], state["elapsed_s"]
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EngineError(f"checkpoint {path} is of another training: {reason}") from error
        torch.set_rng_state(state["random"])
        if self._device.type == "cuda" and "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"], self._device)

    def _one(self) -> Step:
        recipe = self.recipe
        factor = recipe.schedule.factor(self.done)
        set_rate(self._optimizer, factor)
        self.network.train()
        sums: dict[str, float] = {}
        for part in range(recipe.accumulate):
            number = self.step * recipe.accumulate + part
            batch = self._batches(number)
            self.network.at_batch(number * self._processes.count + self._processes.rank)
            with self._processes.joining(self._losses, part == recipe.accumulate - 1):
                values = self._backward(batch)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value / recipe.accumulate
            self.samples += len(batch.targets) * self._processes.count
        if recipe.clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        self.average.update(self.network)
        self.step += 1
        return Step(self.step, self.done, self.elapsed_s, self.samples, factor, sums)

    def _backward(self, batch: Batch) -> dict[str, float]:
        with self._precision():
            found = self._losses(batch.images.to(self._device, non_blocking=True), batch.targets)
        weights = self.recipe.task_weights
        total = losses.total(found, weights)
        self._scaler.scale(total / self.recipe.accumulate).backward()
        values = self._processes.means({name: weights.get(name, 1.0) * loss.item() for name, loss in found.items()})
        wrong = [name for name, value in values.items() if not abs(value) < float("inf")]
        if wrong:
            raise EngineError(f"step {self.step + 1}: loss {', '.join(wrong)} is not finite; try a lower rate")
        return values

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.precision == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.recipe.precision == "bf16" else torch.float16
        return torch.autocast(self._device.type, dtype)
