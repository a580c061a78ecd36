"""How much each stage did and how long it took, in memory that does not grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from msgspec import Struct

from stream.messages import End, Frame, Message, frame_of
from stream.stage import Stage

_FIRST_MS, _LAST_MS, _BINS = 0.001, 1e6, 1024
_EDGES_MS = np.geomspace(_FIRST_MS, _LAST_MS, _BINS - 1)  # 2 % apart: percentiles are as exact


class StageFigures(Struct):
    """What a stage has done so far."""

    frames: int = 0
    busy_s: float = 0.0
    """Time spent working, waiting not counted."""
    p50_ms: float = 0.0
    """Time a frame, median; 0 before the first frame."""
    p95_ms: float = 0.0
    p99_ms: float = 0.0


class Meter:
    """Counts and times one stage."""

    def __init__(self) -> None:
        self._figures = StageFigures()
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, frames: int, seconds: float) -> None:
        """Add work of so many seconds for so many frames; without frames only the time counts."""
        self._figures.busy_s += seconds
        if frames:
            self._figures.frames += frames
            self._counts[np.searchsorted(_EDGES_MS, 1000 * seconds / frames)] += frames

    def figures(self) -> StageFigures:
        """Give the figures up to now."""
        if self._figures.frames:
            so_far = np.cumsum(self._counts) / self._counts.sum()
            at = np.minimum(np.searchsorted(so_far, (0.5, 0.95, 0.99)), _BINS - 2)
            self._figures.p50_ms, self._figures.p95_ms, self._figures.p99_ms = (
                round(float(x), 3) for x in _EDGES_MS[at]
            )
        return self._figures


class Metered(Stage):
    """A stage that is timed; what it gives is stamped with its name and the time."""

    def __init__(self, name: str, stage: Stage, meter: Meter) -> None:
        self._name, self._stage, self._meter = name, stage, meter
        self.patience_s = stage.patience_s
        self.notes = stage.notes

    def process(self, message: Message) -> Iterator[Message]:
        frames = 0 if frame_of(message) is None else 1
        return timed(self._name, self._meter, lambda: self._stage.process(message), frames)

    def pause(self) -> Iterator[Message]:
        return timed(self._name, self._meter, self._stage.pause, 0)

    def flush(self) -> Iterator[Message]:
        return timed(self._name, self._meter, self._stage.flush, 0)

    def close(self) -> None:
        self._stage.close()


def timed(name: str, meter: Meter, work: Callable[[], Iterable[Message]], frames: int) -> Iterator[Message]:
    """Hand on what the work gives and count the time until it has given all, its consumer's not counted."""
    spent_ns, started_ns = 0, time.monotonic_ns()
    given = iter(work())
    for message in given:
        now_ns = time.monotonic_ns()
        spent_ns += now_ns - started_ns
        _stamp(message, name, now_ns)
        yield message
        started_ns = time.monotonic_ns()
    meter.add(frames, (spent_ns + time.monotonic_ns() - started_ns) / 1e9)


def timed_source(name: str, meter: Meter, messages: Iterable[Message]) -> Iterator[Message]:
    """Hand on a source's messages and count the time that each took."""
    started_ns = time.monotonic_ns()
    for message in messages:
        now_ns = time.monotonic_ns()
        meter.add(int(isinstance(message, Frame)), (now_ns - started_ns) / 1e9)
        if not isinstance(message, End):
            _stamp(message, name, now_ns)
        yield message
        started_ns = time.monotonic_ns()


def _stamp(message: Message, name: str, now_ns: int) -> None:
    frame = frame_of(message)
    if frame is not None:
        frame.times_ns[name] = now_ns
