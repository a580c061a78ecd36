"""What is known of a run at the moment, for the page and for metrics."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from stream.figures import RunFigures, SourceFigures
from stream.messages import Begin, Drop, Status, Tracks
from stream.square import square_size

AGE_EDGES_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges of the histogram of ages; a last bin is open."""
_WINDOW_S = 3.0  # over which rates and ages are taken
_WINDOW_FRAMES_MAX = 4096
_HISTORY = 300  # points, one a second
_NOTHING = RunFigures([], 0, 0, {}, {}, {}, {}, 0, 0.0)


class Now(Struct, frozen=True):
    """A source at this moment. Rates and ages are those of the last seconds; None: there were no frames."""

    of: SourceFigures
    width: int | None
    """Of the upright picture, with square pixels; None: not opened yet."""
    height: int | None
    fps_in: float | None
    """Frames a second that came, those that were dropped with them."""
    fps_out: float | None
    """Frames a second in which people were tracked."""
    age_p50_ms: float | None
    """From decoding to here."""
    age_p95_ms: float | None
    people: int | None
    """In the last frame."""
    reconnects: int


class Point(NamedTuple):
    """One second of a source's past."""

    at_s: float
    """Of the run, as `RunFigures.seconds`."""
    fps: float | None
    age_p95_ms: float | None


class Ages(NamedTuple):
    """Ages of a source's frames."""

    counts: list[int]
    """Frames by age: one bin an edge of `AGE_EDGES_S`, and the open one."""
    sum_s: float


class _Seen(NamedTuple):
    at_s: float
    age_ms: float
    dropped: int


@dataclass
class _Source:
    width: int | None = None
    height: int | None = None
    people: int | None = None
    state: str = ""
    ended: bool = False
    reconnects: int = 0
    dropped: int = 0
    window: deque[_Seen] = field(default_factory=lambda: deque(maxlen=_WINDOW_FRAMES_MAX))
    history: deque[Point] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    age_counts: list[int] = field(default_factory=lambda: [0] * (len(AGE_EDGES_S) + 1))
    age_sum_s: float = 0.0


class Board:
    """Filled by the stage's thread, read by the server's."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """Empty; `now_s` tells the monotonic time."""
        self._now_s = now_s
        self._lock = Lock()
        self._sources: dict[str, _Source] = {}
        self._told_s: float | None = None
        self.run = _NOTHING
        """As the supervisor has told last."""

    def begin(self, begin: Begin) -> None:
        """A source was opened."""
        with self._lock:
            source = self._of(begin.spec.name)
            source.width, source.height = square_size(begin.width, begin.height, begin.pixel_aspect)

    def end(self, source: str) -> None:
        """A source has ended."""
        with self._lock:
            self._of(source).ended = True

    def status(self, status: Status) -> None:
        """A live source's state has changed."""
        with self._lock:
            source = self._of(status.source)
            source.reconnects += status.state == "reconnecting" != source.state
            source.state = status.state

    def track(self, tracks: Tracks) -> None:
        """People were tracked in a frame."""
        frame, now_s = tracks.frame, self._now_s()
        age_ms = (max(frame.times_ns.values(), default=frame.captured_ns) - frame.captured_ns) / 1e6
        with self._lock:
            source = self._of(frame.source)
            source.people = len(tracks.ids)
            source.window.append(_Seen(now_s, age_ms, source.dropped + sum(frame.dropped.values())))
            source.dropped = 0
            source.age_counts[bisect_left(AGE_EDGES_S, age_ms / 1e3)] += 1
            source.age_sum_s += age_ms / 1e3

    def drop(self, drop: Drop) -> None:
        """A stage gave up a frame."""
        with self._lock:
            self._of(drop.frame.source).dropped += 1 + sum(drop.frame.dropped.values())

    def take(self, figures: RunFigures) -> None:
        """The supervisor has told where the run stands: once a second, so a point of the past is set as well."""
        with self._lock:
            self.run, self._told_s = figures, self._now_s()
            named = {each.name for each in figures.sources}
            for name in [name for name, source in self._sources.items() if source.ended and name not in named]:
                del self._sources[name]
            for each in figures.sources:
                if each.state not in ("waiting", "ended", "stopped", "failed"):
                    source = self._of(each.name)
                    fps, age_ms = self._fps(source)[1], self._ages_ms(source)[1]
                    source.history.append(Point(round(figures.seconds, 1), fps, age_ms))

    def sources(self) -> list[Now]:
        """The run's sources at this moment, those that `RunFigures` has."""
        with self._lock:
            return [self._now(each) for each in self.run.sources]

    def history(self) -> dict[str, list[Point]]:
        """Source -> its last five minutes, a point a second."""
        with self._lock:
            return {name: list(source.history) for name, source in self._sources.items()}

    def ages(self) -> dict[str, Ages]:
        """Source -> the ages of all its frames."""
        with self._lock:
            return {name: Ages(list(source.age_counts), source.age_sum_s) for name, source in self._sources.items()}

    def silent_s(self) -> float:
        """How long the supervisor has said nothing; 0 if it never has, for then the run has just begun."""
        return self._now_s() - self._told_s if self._told_s is not None else 0.0

    def _of(self, name: str) -> _Source:
        return self._sources.setdefault(name, _Source())

    def _now(self, figures: SourceFigures) -> Now:
        source = self._sources.get(figures.name) or _Source()
        fps_in, fps_out = self._fps(source)
        p50, p95 = self._ages_ms(source)
        people = source.people if source.window else None
        return Now(figures, source.width, source.height, fps_in, fps_out, p50, p95, people, source.reconnects)

    def _fps(self, source: _Source) -> tuple[float | None, float | None]:
        """Frames a second that came and that were tracked, over the window: of n frames n - 1 intervals."""
        self._forget(source)
        window = source.window
        if len(window) < 2:
            return None, None
        # up to now where the last frame is overdue: a source that stops must not keep its rate
        step_s = (window[-1].at_s - window[0].at_s) / (len(window) - 1)
        until_s = max(window[-1].at_s, self._now_s() - step_s)
        spent_s = max(until_s - window[0].at_s, 1e-6)
        dropped = sum(seen.dropped for seen in list(window)[1:])
        out = len(window) - 1
        return round((out + dropped) / spent_s, 1), round(out / spent_s, 1)

    def _ages_ms(self, source: _Source) -> tuple[float | None, float | None]:
        self._forget(source)
        if not source.window:
            return None, None
        p50, p95 = np.percentile([seen.age_ms for seen in source.window], (50, 95))
        return round(float(p50), 1), round(float(p95), 1)

    def _forget(self, source: _Source) -> None:
        while source.window and self._now_s() - source.window[0].at_s > _WINDOW_S:
            source.window.popleft()
