"""How long a training may take, how far it is, and when it will be done."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")


def seconds(text: str) -> float:
    """The seconds of a duration such as 2h, 90m, 1h30m or 45s.

    Raises:
        ValueError: it is none, or not above 0.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    amounts = match.groups() if match else ()
    total = sum(float(amount) * unit for amount, unit in zip(amounts, _UNITS_S.values(), strict=False) if amount)
    if not total > 0:
        raise ValueError(f"got {text!r}, expected a duration such as 2h, 90m or 1h30m")
    return total


def duration(seconds: float) -> str:
    """A duration in two units at most: 1h 05m, 3m 20s, 12s."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"


@dataclass(frozen=True)
class Budget:
    """Where a run ends: after so many steps, after so long, or whichever comes first."""

    steps: int | None = None
    duration_s: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.duration_s is None:
            raise ValueError("a run needs an end: give steps, a duration, or both")

    def done(self, steps: int, elapsed_s: float) -> float:
        """The share of the run that is over, 0..1."""
        shares = (
            steps / self.steps if self.steps is not None and self.steps else 1.0 if self.steps == 0 else 0.0,
            elapsed_s / self.duration_s if self.duration_s else 0.0,
        )
        return min(max(shares), 1.0)


def line(step: int, done: float, elapsed_s: float, samples_a_s: float, losses: Mapping[str, float]) -> str:
    """One line of progress, with the time that is left at this rate."""
    left = duration(elapsed_s * (1 - done) / done) if done > 0 else "?"
    parts = " ".join(f"{name} {value:.4g}" for name, value in losses.items())
    total = math.fsum(losses.values())
    return f"step {step}  {100 * done:.1f} %  {left} left  {samples_a_s:.1f} samples/s  loss {total:.4g} ({parts})"
