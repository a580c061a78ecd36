"""How the learning rate goes over a run: pure functions of how much of it is done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The rate as a share of the highest one."""

    kind: Literal["constant", "step", "cosine"] = "cosine"
    """step: a tenth at each of `steps_at`; cosine: from `hold` on it falls to `end`."""
    warm_up: float = 0.05
    """Share of the run in which the rate rises in a straight line from a hundredth."""
    steps_at: tuple[float, ...] = (8 / 12, 11 / 12)
    """Shares of the run."""
    hold: float = 0.5
    """Share of the run until which a cosine stays at 1."""
    end: float = 0.05
    """What a cosine ends at."""

    def problems(self) -> list[str]:
        """What is wrong, one sentence a field; empty when all is well."""
        found = [
            f"{name} is {value}; it must lie in 0..1"
            for name, value in (("warm_up", self.warm_up), ("hold", self.hold), ("end", self.end))
            if not 0 <= value <= 1
        ]
        if any(not 0 < at < 1 for at in self.steps_at) or list(self.steps_at) != sorted(self.steps_at):
            found.append(f"steps_at is {self.steps_at}; expected rising shares within 0..1")
        return found

    def factor(self, done: float) -> float:
        """The share of the highest rate when so much of the run is done, 0..1."""
        rising = 0.01 + 0.99 * min(done / self.warm_up, 1.0) if self.warm_up else 1.0
        return rising * self._falling(min(max(done, 0.0), 1.0))

    def _falling(self, done: float) -> float:
        if self.kind == "step":
            return float(0.1 ** sum(done >= at for at in self.steps_at))
        if self.kind == "cosine" and done > self.hold:
            share = (done - self.hold) / (1 - self.hold)
            return self.end + (1 - self.end) * (1 + math.cos(math.pi * share)) / 2
        return 1.0
