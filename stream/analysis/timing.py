"""Conditions over time, in seconds: what holds for a moment is not yet so, and what is unknown changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar


class Held:
    """A condition that has begun once it was true for `after_s`, and is over once it was false for `over_s`."""

    def __init__(self, after_s: float, over_s: float) -> None:
        self._after_s, self._over_s = after_s, over_s
        self.on = False
        self._since_s: float | None = None
        """When the condition began to differ from `on`."""

    def update(self, true: bool | None, now_s: float) -> bool:
        """Take what is so now, None: unknown; whether the condition has begun at this very moment."""
        if true is None:
            return False
        if true == self.on:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < (self._over_s if self.on else self._after_s) - 1e-6:  # times are rounded so
            return False
        self.on, self._since_s = true, None
        return true


class Baseline:
    """A person's own usual value: the median over the first `seconds` in which it was known."""

    def __init__(self, seconds: float) -> None:
        self._left_s = seconds
        self._values: list[float] = []
        self._last_s: float | None = None
        self.value: float | None = None
        """None: not yet known."""

    def update(self, value: float, now_s: float) -> None:
        """Take a known value."""
        if self.value is not None:
            return
        if self._last_s is not None:
            self._left_s -= min(now_s - self._last_s, 0.5)  # a longer gap was not seen
        self._values.append(value)
        self._last_s = now_s
        if self._left_s <= 1e-6:
            ordered = sorted(self._values)
            self.value, self._values = ordered[len(ordered) // 2], []


State = TypeVar("State")


class EachPerson(Generic[State]):
    """Something remembered of each person, until they were unseen for `forget_s`."""

    def __init__(self, make: Callable[[], State], forget_s: float = 10.0) -> None:
        self._make, self._forget_s = make, forget_s
        self._states: dict[int, tuple[State, float]] = {}

    def of(self, ids: Iterable[int], now_s: float) -> list[State]:
        """States of the people of a frame, in their order; new ones for who is new."""
        here = list(ids)
        found = [self._states[each][0] if each in self._states else self._make() for each in here]
        self._states |= {each: (state, now_s) for each, state in zip(here, found, strict=True)}
        self._states = {
            each: (state, seen_s) for each, (state, seen_s) in self._states.items() if now_s - seen_s <= self._forget_s
        }
        return found
