"""Holding a frame rate: less work a frame where the network is too slow for it, one step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Step(NamedTuple):
    """How much work a frame gets."""

    every: int
    """The network looks at every so many-th frame of a source; the tracker carries people over the others."""
    scale: float
    """Sides of the network's input, as a share of the usual ones."""

    @property
    def cost(self) -> float:
        """Work a frame, as a share of the first step's."""
        return self.scale**2 / self.every

    def __str__(self) -> str:
        which = {1: "every frame", 2: "every 2nd frame", 3: "every 3rd frame"}[self.every]
        size = "" if self.scale == 1 else f", its input {self.scale:.0%} as wide and high"
        return f"the network looks at {which}{size}"


STEPS: Final = (Step(1, 1.0), Step(2, 1.0), Step(3, 1.0), Step(3, 0.75), Step(3, 0.5))
"""From all the work to the least."""
WINDOW_NS: Final = 1_000_000_000
_SLOW, _SLOW_WINDOWS = 0.95, 2  # of the rate wanted; so many windows in a row
_BUSY = 0.8  # a network that idles more is not what keeps the rate down
_ROOM, _ROOM_WINDOWS = 0.75, 5  # how busy it would be with more work: well below, so that nothing flaps


class Pace:
    """Decides, a second at a time, how much work a frame gets, by the rate of the slowest source."""

    def __init__(self, fps: float) -> None:
        """Start with all the work; `fps` is to be held for each source."""
        self._fps = fps
        self._at = 0
        self._began_ns: int | None = None
        self._slow = self._room = 0

    @property
    def step(self) -> Step:
        """How much work a frame gets now."""
        return STEPS[self._at]

    def is_over(self, now_ns: int) -> bool:
        """Whether a window has passed since the last `judge`; the first call begins the first one."""
        if self._began_ns is None:
            self._began_ns = now_ns
        return now_ns - self._began_ns >= WINDOW_NS

    def judge(self, now_ns: int, frames: Mapping[str, int], busy_ns: int) -> str:
        """Take note of a window.

        Args:
            now_ns: its end.
            frames: source -> frames handed on in it; of each source that is open.
            busy_ns: how long the network worked in it.

        Returns:
            What changes from now on, one line; empty: nothing.
        """
        assert self._began_ns is not None
        window_ns = now_ns - self._began_ns
        self._began_ns = now_ns
        if not frames:
            return ""
        fps, busy = min(frames.values()) * 1e9 / window_ns, busy_ns / window_ns
        self._slow = self._slow + 1 if fps < _SLOW * self._fps and busy > _BUSY else 0
        more = STEPS[max(self._at - 1, 0)].cost / self.step.cost
        self._room = self._room + 1 if busy * more < _ROOM else 0
        if self._slow >= _SLOW_WINDOWS and self._at + 1 < len(STEPS):
            return self._go(self._at + 1, f"{fps:.1f} of {self._fps:g} frames a second")
        if self._room >= _ROOM_WINDOWS and self._at > 0:
            return self._go(self._at - 1, "there is room")
        return ""

    def _go(self, at: int, why: str) -> str:
        self._at, self._slow, self._room = at, 0, 0
        return f"{why}: {self.step}"
