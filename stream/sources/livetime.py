"""The clock of a live source, and playing what lies ready at the speed at which it is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

from stream.messages import Frame
from stream.sources.clock import Clock

_JUMP_NS = 2_000_000_000
_TICK_S = 0.05
_LATE_NS = 1_000_000_000


class LiveClock:
    """Gives each frame of a live source its time and epoch.

    A new epoch begins with each connection, with another shape of picture, and where the source's time steps back, or
    ahead of the time that has passed. A source without a clock has the times at which its frames came.
    """

    def __init__(self, epoch: int) -> None:
        """As after `epoch`; -1 for a source that has not begun."""
        self._clock = Clock(1.0)  # each time is known here: no frame rate is needed
        self._clock.epoch = epoch
        self._shape: object = None
        self._last: tuple[int, int] | None = None
        """Time and capture of the last frame."""

    @property
    def epoch(self) -> int:
        """Of the last frame."""
        return self._clock.epoch

    def begin(self) -> None:
        """Start a new epoch."""
        epoch, self._clock = self._clock.epoch, Clock(1.0)
        self._clock.epoch = epoch + 1
        self._shape = self._last = None

    def time(
        self, pts: int | None, time_base: Fraction | None, shape: tuple[object, ...], captured_ns: int
    ) -> tuple[int, tuple[str, ...]]:
        """The next frame's time in nanoseconds, and the flags that it earns.

        Args:
            pts: in units of `time_base`; None: the source does not say.
            time_base: seconds; None if unknown.
            shape: width, height and whatever else of a picture must stay the same within an epoch.
            captured_ns: when it was decoded, on the monotonic clock.
        """
        if self._shape not in (None, shape):
            self.begin()
        last_ns, last_captured_ns = self._last or (0, captured_ns)
        passed_ns = captured_ns - last_captured_ns
        assumed = ("timing_assumed",) if pts is None or not time_base else ()
        now_ns = last_ns + passed_ns if pts is None or not time_base else round(pts * time_base * 10**9)
        if self._last is not None and now_ns - last_ns > passed_ns + _JUMP_NS:
            self.begin()
        self._shape, self._last = shape, (now_ns, captured_ns)
        time_ns, flags = self._clock.time(now_ns, Fraction(1, 10**9), (0, 0))
        return time_ns, (*assumed, *flags)


class Pace:
    """Waits until a frame is due at the speed at which frames are shown; lateness is not made up for."""

    def __init__(self, shift_ns: int | None = None) -> None:
        """Before the first frame.

        Args:
            shift_ns: from a frame's time to the monotonic clock at which it is due; None: the first one is due at once.
        """
        self._shift_ns = shift_ns or 0
        self._epoch = None if shift_ns is None else 0
        """Of the last frame; the clock of another one begins anew."""

    def wait(self, frame: Frame, stop: Callable[[], bool]) -> None:
        """Return when the frame is due, or `stop()` is true."""
        shift_ns = time.monotonic_ns() - frame.pts_ns
        if frame.epoch != self._epoch or shift_ns - self._shift_ns > _LATE_NS:
            self._shift_ns = shift_ns
        self._epoch = frame.epoch
        while (rest_s := (frame.pts_ns + self._shift_ns - time.monotonic_ns()) / 1e9) > 0 and not stop():
            time.sleep(min(rest_s, _TICK_S))
