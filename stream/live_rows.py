"""What there is to say of each live source while a run goes on."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from msgspec import Struct

from stream.runtime.progress import Progress

HEADINGS = ("source", "state", "fps in", "fps out", "age p95", "dropped", "people")
_WINDOW_S = 2.0


class LiveFigures(Struct, frozen=True):
    """How a live source does, rates over the last two seconds; None where no frame came in them."""

    source: str
    state: str
    reason: str
    """One line for people; empty if all is well."""
    fps_in: float | None
    """Frames that it offered."""
    fps_out: float | None
    """Frames that passed the whole pipeline."""
    age_p95_ms: float | None
    """From decoding to the last stage."""
    dropped: int
    """Frames since the beginning."""
    people: float | None
    """People a frame."""

    def row(self) -> tuple[str, ...]:
        """As text, in the order of `HEADINGS`."""
        state = f"{self.state}: {self.reason}" if self.reason else self.state
        if self.fps_out is None:
            return self.source, state, "", "", "", str(self.dropped), ""
        return (
            self.source,
            state,
            f"{self.fps_in:.1f}",
            f"{self.fps_out:.1f}",
            f"{self.age_p95_ms:.0f} ms",
            str(self.dropped),
            f"{self.people:.1f}",
        )


class _Reading(NamedTuple):
    at_s: float
    frames: int
    dropped: int
    people: int


class LiveRows:
    """Figures of all live sources, their rates over the last two seconds."""

    def __init__(self) -> None:
        self._readings: dict[str, deque[_Reading]] = {}

    def figures(self, progress: Progress, now_s: float | None = None) -> list[LiveFigures]:
        """Those of each live source that has not ended.

        Args:
            progress: where the run stands.
            now_s: on the monotonic clock; None: now.
        """
        now_s = time.monotonic() if now_s is None else now_s
        live = [name for name in progress.statuses if name not in progress.ended]
        return [self._of(progress, name, now_s) for name in live]

    def _of(self, progress: Progress, name: str, now_s: float) -> LiveFigures:
        counts, status = progress.counts(name), progress.statuses[name]
        now = _Reading(now_s, counts.frames, sum(counts.dropped.values()), counts.people)
        readings = self._readings.setdefault(name, deque())
        readings.append(now)
        while now_s - readings[0].at_s > _WINDOW_S and len(readings) > 2:
            readings.popleft()
        before = readings[0]
        frames, dropped = now.frames - before.frames, now.dropped - before.dropped
        spent_s = now.at_s - before.at_s
        if not spent_s or not frames:
            return LiveFigures(name, status.state, status.reason, None, None, None, now.dropped, None)
        return LiveFigures(
            source=name,
            state=status.state,
            reason=status.reason,
            fps_in=round((frames + dropped) / spent_s, 1),
            fps_out=round(frames / spent_s, 1),
            age_p95_ms=counts.age_p95_ms,
            dropped=now.dropped,
            people=round((now.people - before.people) / frames, 2),
        )
