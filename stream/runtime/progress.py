"""Where a run stands, as its supervisor has heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from stream.figures import StageFigures
from stream.messages import Begin, Cut, Status
from stream.position import Place
from stream.runtime.metrics import joined
from stream.runtime.reports import Beat, Began, Counts, Ended, Reached


class Delivered(NamedTuple):
    """What a live source's records hold."""

    frames: int
    people: int
    """People in all frames: one person in ten frames counts ten."""
    last: Place | None
    """The last frame; None if there is none."""


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
    ended_by_user: bool = False
    """A stage was asked to end the run, as by a key in the window."""
    restarts: int = 0
    """How often the stages behind live sources were restarted."""
    held: dict[str, int] = field(default_factory=dict)
    """Frames that wait for a group or are in it."""
    places: dict[str, Place] = field(default_factory=dict)
    """At the last restart: of each source that was open the last frame that was done with."""
    _began_s: dict[str, float] = field(default_factory=dict)
    _ended_s: dict[str, float] = field(default_factory=dict)
    _before: dict[str, Counts] = field(default_factory=dict)
    """Of sources that were open at a restart, or are continued: what had passed before it."""
    _before_s: dict[str, float] = field(default_factory=dict)
    """Source that is continued -> how long it had been worked on before."""
    _ended_frames: int = 0
    _spoken: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    _at_cut: dict[str, Counts] = field(default_factory=dict)

    def seconds(self, source: str) -> float:
        """How long a source has been read and worked on; 0.0 if it was never opened."""
        before_s = self._before_s.get(source, 0.0)
        if source not in self._began_s:
            return before_s
        return before_s + self._ended_s.get(source, self.finished_s or time.monotonic()) - self._began_s[source]

    def begin(self, begun: Began) -> None:
        """Take note of a source that was opened."""
        self.began[begun.begin.spec.name] = begun.begin
        self._began_s.setdefault(begun.begin.spec.name, time.monotonic())

    def reach(self, reached: Reached) -> None:
        """Take note of a cut that has passed the whole pipeline."""
        name = reached.cut.source
        self.cuts[name] = reached.cut
        self._at_cut[name] = _sum(self._before.get(name, Counts()), reached.counts)

    def counts_at_cut(self, source: str) -> Counts:
        """What of a source had passed the whole pipeline at its last cut."""
        return self._at_cut[source]

    def go_on(self, source: str, cut: Cut, frames: int, people: int, seconds: float) -> None:
        """Take note that a source is continued from a cut.

        Args:
            source: which.
            cut: where.
            frames: that had passed by then.
            people: in them.
            seconds: that it had been worked on.
        """
        self.cuts[source], self._before_s[source] = cut, seconds
        self._before[source] = self._at_cut[source] = Counts(frames, people)

    def end(self, ended: Ended) -> None:
        """Take note of a source that has ended."""
        self.ended[ended.end.source] = ended
        self._ended_s[ended.end.source] = time.monotonic()
        self._ended_frames += self.counts(ended.end.source).frames

    def counts(self, source: str) -> Counts:
        """What of a source has passed the whole pipeline; of one that is open, up to the last beat."""
        before = self._before.get(source, Counts())
        if source in self.ended:
            return _sum(before, self.ended[source].counts)
        now = next((beat.sources[source] for beat in self.beats.values() if source in beat.sources), Counts())
        return _sum(before, now)

    def take(self, group: tuple[str, ...], notes: Sequence[str]) -> None:
        """Take what a group has to say when it is ready; of several alike, such as a pool's workers, the first speaks.

        Args:
            group: its stages and its device.
            notes: lines.
        """
        if self._spoken.setdefault(group, tuple(notes)) == tuple(notes):
            self.notes += [note for note in notes if note not in self.notes]

    def frames(self) -> int:
        """Frames of all sources that have passed the whole pipeline, also in runs before; up to the last beat."""
        return self._ended_frames + sum(self.counts(name).frames for name in self.began if name not in self.ended)

    def dropped(self, source: str) -> dict[str, int]:
        """Cause -> frames lost. What a live source gave and nothing else tells of was under way when stages ended."""
        counts, ended, begun = self.counts(source), self.ended.get(source), self.began.get(source)
        if ended is None or begun is None or not begun.live:
            return counts.dropped
        end = ended.end
        dropped = counts.dropped | end.lost
        if end.before:  # `lost` is of the last decoder alone
            dropped = {cause: max(counts.dropped.get(cause, 0), end.lost.get(cause, 0)) for cause in sorted(dropped)}
        offered = end.before + end.frames + sum(end.lost.values())
        rest = offered - counts.frames - sum(dropped.values())
        cause = "restart" if self.restarts else "stopped"
        return dropped | ({cause: rest} if rest > 0 else {})

    def states(self, source: str) -> dict[str, bytes]:
        """The snapshots of a source at its last cut, by stage; empty before the first."""
        return self.cuts[source].states if source in self.cuts else {}

    def restart(self, groups: Iterable[str], delivered: Callable[[str], Delivered | None]) -> None:
        """Take note that these groups begin anew: what they last said is kept, and their figures start at nothing.

        Args:
            groups: their names.
            delivered: what a source's records hold, which is more than the last beat said; None: it has none.
        """
        before = {name: self.counts(name) for name in self.began if name not in self.ended}
        for name, counts in before.items():
            told = next((beat.places[name] for beat in self.beats.values() if name in beat.places), None)
            found = delivered(name)
            if found is not None:
                before[name] = structs.replace(counts, frames=found.frames, people=found.people)
            self._note(name, told)
            self._note(name, found.last if found else None)
        self._before = before
        for group in groups:
            self.beats.pop(group, None)
        self.restarts += 1

    def begin_again(self) -> None:
        """Take note that all groups begin anew; what had passed since the last cuts passes once more."""
        for name in [name for name in self.began if name not in self.ended]:
            self._before_s[name] = self.seconds(name)
            self._before[name] = self._at_cut.get(name, Counts())
            del self._began_s[name]
        self.beats.clear()
        self.finished_s = None
        self.restarts += 1

    def _note(self, source: str, place: Place | None) -> None:
        if place is not None and place.index >= self.places.get(source, place).index:
            self.places[source] = place

    def stages(self) -> dict[str, StageFigures]:
        """Each stage's figures; of several groups with the same stages, of all together."""
        merged: dict[str, StageFigures] = {}
        for beat in self.beats.values():
            merged = joined(merged, beat.stages)
        return merged


def _sum(one: Counts, other: Counts) -> Counts:
    causes = sorted({*one.dropped, *other.dropped})
    dropped = {cause: one.dropped.get(cause, 0) + other.dropped.get(cause, 0) for cause in causes}
    return Counts(one.frames + other.frames, one.people + other.people, dropped, other.age_p95_ms)
