"""Where a run stands, as its supervisor has heard."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import structs

from stream.messages import Begin, Cut, StageFigures, Status
from stream.runtime.reports import Beat, Began, Counts, Ended


@dataclass
class Progress:
    """Where a run stands."""

    beats: dict[str, Beat] = field(default_factory=dict)
    """Last figures of each group."""
    began: dict[str, Begin] = field(default_factory=dict)
    """Sources that were opened."""
    statuses: dict[str, Status] = field(default_factory=dict)
    """How each live source is."""
    ended: dict[str, Ended] = field(default_factory=dict)
    """Sources that have passed the whole pipeline."""
    cuts: dict[str, Cut] = field(default_factory=dict)
    """The last cut of each source that has passed the whole pipeline."""
    notes: list[str] = field(default_factory=list)
    """Lines to be shown to the user."""
    started_s: float | None = None
    """Monotonic time when the first frame could flow; None while models load."""
    finished_s: float | None = None
    """Monotonic time when the last group was done; None before."""
    pids: dict[str, int] = field(default_factory=dict)
    """Process of each group; empty where groups are threads."""
    restarts: int = 0
    """How often the stages behind live sources were restarted."""
    held: dict[str, int] = field(default_factory=dict)
    """Frames that wait for a group or are in it."""
    _began_s: dict[str, float] = field(default_factory=dict)
    _ended_s: dict[str, float] = field(default_factory=dict)
    _before: dict[str, Counts] = field(default_factory=dict)
    """Of sources that were open at a restart: what had passed before it."""

    def seconds(self, source: str) -> float:
        """How long a source has been read and worked on; 0.0 if it was never opened."""
        if source not in self._began_s:
            return 0.0
        return self._ended_s.get(source, self.finished_s or time.monotonic()) - self._began_s[source]

    def begin(self, begun: Began) -> None:
        """Take note of a source that was opened."""
        self.began[begun.begin.spec.name] = begun.begin
        self._began_s.setdefault(begun.begin.spec.name, time.monotonic())

    def end(self, ended: Ended) -> None:
        """Take note of a source that has ended."""
        self.ended[ended.end.source] = ended
        self._ended_s[ended.end.source] = time.monotonic()

    def counts(self, source: str) -> Counts:
        """What of a source has passed the whole pipeline; of one that is open, up to the last beat."""
        before = self._before.get(source, Counts())
        if source in self.ended:
            return _sum(before, self.ended[source].counts)
        now = next((beat.sources[source] for beat in self.beats.values() if source in beat.sources), Counts())
        return _sum(before, now)

    def dropped(self, source: str) -> dict[str, int]:
        """Cause -> frames lost. What a live source gave and nothing else tells of was under way at a restart."""
        counts, ended, begun = self.counts(source), self.ended.get(source), self.began.get(source)
        if ended is None or begun is None or not begun.live:
            return counts.dropped
        by_stages = sum(frames for cause, frames in counts.dropped.items() if cause != "busy")
        lost = ended.end.frames - counts.frames - by_stages
        return counts.dropped | ended.end.lost | ({"restart": lost} if lost > 0 else {})

    def states(self, source: str) -> dict[str, bytes]:
        """The snapshots of a source at its last cut, by stage; empty before the first."""
        return self.cuts[source].states if source in self.cuts else {}

    def restart(self, groups: Iterable[str]) -> None:
        """Take note that these groups begin anew: what they last said is kept, and their figures start at nothing."""
        self._before = {name: self.counts(name) for name in self.began if name not in self.ended}
        for group in groups:
            self.beats.pop(group, None)
        self.restarts += 1

    def stages(self) -> dict[str, StageFigures]:
        """Each stage's figures; of several groups with the same stages, the last heard of with the frames of all."""
        merged: dict[str, StageFigures] = {}
        for beat in self.beats.values():
            for name, figures in beat.stages.items():
                before = merged.get(name, StageFigures())
                causes = {*before.dropped, *figures.dropped}
                merged[name] = structs.replace(
                    figures,
                    frames=figures.frames + before.frames,
                    busy_s=figures.busy_s + before.busy_s,
                    dropped={at: before.dropped.get(at, 0) + figures.dropped.get(at, 0) for at in sorted(causes)},
                )
        return merged


def _sum(one: Counts, other: Counts) -> Counts:
    causes = sorted({*one.dropped, *other.dropped})
    dropped = {cause: one.dropped.get(cause, 0) + other.dropped.get(cause, 0) for cause in causes}
    return Counts(one.frames + other.frames, one.people + other.people, dropped, other.age_p95_ms)
