"""What there is to say of each live source while a run goes on: one row a source."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from stream.runtime.progress import Progress

HEADINGS = ("source", "state", "fps in", "fps out", "age p95", "dropped", "people")
_WINDOW_S = 2.0


class _Reading(NamedTuple):
    at_s: float
    frames: int
    dropped: int
    people: int


class LiveRows:
    """Rows of all live sources, their rates over the last two seconds."""

    def __init__(self) -> None:
        self._readings: dict[str, deque[_Reading]] = {}

    def rows(self, progress: Progress, now_s: float | None = None) -> list[tuple[str, ...]]:
        """A row a live source, in the order of `HEADINGS`; sources that have ended have none.

        Args:
            progress: where the run stands.
            now_s: on the monotonic clock; None: now.
        """
        now_s = time.monotonic() if now_s is None else now_s
        live = [name for name in progress.statuses if name not in progress.ended]
        return [self._row(progress, name, now_s) for name in live]

    def _row(self, progress: Progress, name: str, now_s: float) -> tuple[str, ...]:
        counts, status = progress.counts(name), progress.statuses[name]
        now = _Reading(now_s, counts.frames, sum(counts.dropped.values()), counts.people)
        readings = self._readings.setdefault(name, deque())
        readings.append(now)
        while now_s - readings[0].at_s > _WINDOW_S and len(readings) > 2:
            readings.popleft()
        before = readings[0]
        frames, dropped = now.frames - before.frames, now.dropped - before.dropped
        spent_s = now.at_s - before.at_s
        state = f"{status.state}: {status.reason}" if status.reason else status.state
        if not spent_s or not frames:
            return name, state, "", "", "", str(now.dropped), ""
        return (
            name,
            state,
            f"{(frames + dropped) / spent_s:.1f}",
            f"{frames / spent_s:.1f}",
            f"{counts.age_p95_ms:.0f} ms",
            str(now.dropped),
            f"{(now.people - before.people) / frames:.1f}",
        )
