"""What changes the weights: an optimiser for groups of parameters, and a moving average of them."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Optim:
    """Which optimiser, and how fast."""

    kind: Literal["sgd", "adamw", "rmsprop"] = "adamw"
    rate: float = 4e-4
    """The highest learning rate."""
    momentum: float = 0.9
    """Also the first beta of AdamW."""
    second_beta: float = 0.99
    """Of AdamW."""
    decay: float = 0.01
    """Weight decay, of what has two dimensions or more: not of biases and norms."""
    rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Of parameters whose names begin so, the rate as a share of `rate`; 0 leaves them as they are."""

    def problems(self) -> list[str]:
        """What is wrong, one sentence a field; empty when all is well."""
        found = [] if self.rate > 0 else [f"rate is {self.rate}; it must be above 0"]
        for name in ("momentum", "second_beta"):
            if not 0 <= getattr(self, name) < 1:
                found.append(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if self.decay < 0:
            found.append(f"decay is {self.decay}; it must be at least 0")
        return found


def optimizer(network: nn.Module, how: Optim) -> torch.optim.Optimizer:
    """An optimiser of all parameters that learn; each group keeps its highest rate as `highest`.

    Raises:
        ValueError: a rate is given for a name that no parameter begins with.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    unused = set(how.rate_factors)
    for name, parameter in network.named_parameters():
        begins = [start for start in how.rate_factors if name.startswith(start)]
        unused -= set(begins)
        factor = how.rate_factors[max(begins, key=len)] if begins else 1.0
        if factor and parameter.requires_grad:
            decay = how.decay if parameter.dim() > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    if unused:
        raise ValueError(f"rate_factors names {', '.join(sorted(unused))}, which no parameter begins with")
    settings = [
        {"params": parameters, "lr": how.rate * factor, "highest": how.rate * factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if how.kind == "sgd":
        return torch.optim.SGD(settings, lr=how.rate, momentum=how.momentum)
    if how.kind == "rmsprop":
        return torch.optim.RMSprop(settings, lr=how.rate, momentum=how.momentum)
    return torch.optim.AdamW(settings, lr=how.rate, betas=(how.momentum, how.second_beta))


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rate of each group to a share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["highest"]


class Average:
    """The exponential moving average of a network's weights, which scores better than any one of them.

    At the beginning it follows more quickly, so that it forgets where it started.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.weights: dict[str, Tensor] = copy.deepcopy(network.state_dict())

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after one more step; what are no real numbers, as counters, is copied."""
        self.updates += 1
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, now in network.state_dict().items():
            if now.is_floating_point():
                self.weights[name].lerp_(now.to(self.weights[name].dtype), share)
            else:
                self.weights[name].copy_(now)

    @contextlib.contextmanager
    def in_place(self, network: nn.Module) -> Iterator[None]:
        """Let the network have the average while it is scored, and its own weights again afterwards."""
        own = copy.deepcopy(network.state_dict())
        try:
            network.load_state_dict(self.weights)
            yield
        finally:
            network.load_state_dict(own)
