"""Repetitions of an exercise, from an angle that goes down and up again."""

from __future__ import annotations


class Repetitions:
    """Counts how often a value fell to `low` and rose to `high` again.

    Between the two nothing changes, so trembling around either counts once. It begins with the first value at or above
    `high`: who is first seen down has not gone down.
    """

    def __init__(self, low: float, high: float) -> None:
        if not low < high:
            raise ValueError(f"low is {low}, high is {high}; low must be below high")
        self._low, self._high = low, high
        self.count = 0
        self.down = False
        self._ready = False

    def update(self, value: float | None) -> bool:
        """Take the next value, None: unknown; whether it completes a repetition."""
        if value is None:
            return False
        if value >= self._high:
            done, self.down, self._ready = self.down, False, True
            self.count += done
            return done
        self.down |= self._ready and value <= self._low
        return False
