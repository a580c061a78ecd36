"""A clock that only rises, made from what a container says of time."""

from __future__ import annotations

import re
from fractions import Fraction

from msgspec import Struct

_BREAK_NS = 1_000_000_000
_LEAST_NS = 20_000  # two ticks of the 90 kHz clock that videos are written with


class ClockState(Struct, frozen=True):
    """All that a clock remembers."""

    last_ns: int | None
    size: tuple[int, int] | None
    epoch: int


class Clock:
    """Time and epoch of each frame.

    Within an epoch times rise strictly. A frame without a time gets the one that the frame rate leads to expect.
    A time that steps back a little is lifted; one that steps back by a second or more begins a new epoch.
    """

    def __init__(self, fps: float) -> None:
        self._step_ns = round(1e9 / fps)
        self._last_ns: int | None = None
        self._size: tuple[int, int] | None = None
        self.epoch = 0

    def state(self) -> ClockState:
        """All that it remembers."""
        return ClockState(self._last_ns, self._size, self.epoch)

    def restore(self, state: ClockState) -> None:
        """Go on from what another clock of the same rate remembered."""
        self._last_ns, self._size, self.epoch = state.last_ns, state.size, state.epoch

    def time(self, pts: int | None, time_base: Fraction | None, size: tuple[int, int]) -> tuple[int, tuple[str, ...]]:
        """Time of the next frame in nanoseconds, and the flags it earns.

        Args:
            pts: in units of `time_base`; None if unknown.
            time_base: seconds; None if unknown.
            size: of the picture; another one than before begins a new epoch.
        """
        if self._size not in (None, size):
            self.epoch += 1
            self._last_ns = None if pts is not None else self._last_ns
        self._size = size
        if pts is None or not time_base:
            self._last_ns = 0 if self._last_ns is None else self._last_ns + self._step_ns
            return self._last_ns, ("timing_assumed",)
        now_ns = round(pts * time_base * 1_000_000_000)
        flags: tuple[str, ...] = ()
        if self._last_ns is not None and now_ns <= self._last_ns:
            if self._last_ns - now_ns >= _BREAK_NS:
                self.epoch += 1
            else:
                now_ns, flags = self._last_ns + _LEAST_NS, ("timing_repaired",)
        self._last_ns = now_ns
        return now_ns, flags


def frame_rate(average: Fraction | None, guessed: Fraction | None) -> float | None:
    """Frames a second, from FFmpeg's two opinions; None if it has none."""
    if average and guessed and average > 4 * guessed:  # it has taken the ticks of the clock for frames
        average = guessed
    return float(average or guessed or 0) or None


def seconds_in(text: str) -> float | None:
    """Seconds of hh:mm:ss.fraction; None if it is something else."""
    found = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
