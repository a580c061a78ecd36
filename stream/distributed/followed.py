"""Where a run on many machines stands, put together from what its runners say."""

from __future__ import annotations

from msgspec import structs

from stream.distributed.tasks import Look
from stream.figures import StageFigures
from stream.runtime.metrics import joined
from stream.runtime.progress import Progress
from stream.runtime.reports import Began


class Followed:
    """Adds looks at runners to the progress of the whole run."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._said: set[str] = set(progress.notes)
        self._before: dict[str, dict[str, StageFigures]] = {}
        """Runner -> figures of its tasks before the one at hand, by stage."""

    def take(self, runner: str, look: Look) -> int:
        """Take note of a look at a runner; the frames of its task that are done."""
        progress = self._progress
        for begin in look.begins:
            if begin.spec.name not in progress.began:
                progress.begin(Began(begin))
        for ended in look.ended:
            if ended.end.source not in progress.ended:
                progress.end(ended)
        stages = joined(self._before.get(runner, {}), look.beat.stages)
        progress.beats[runner] = structs.replace(look.beat, stages=stages)
        self._say(look.notes)
        now = sum(counts.frames for counts in look.beat.sources.values())
        return now + sum(ended.counts.frames for ended in look.ended)

    def idle(self, runner: str) -> None:
        """Take note that a runner has no task any more: the figures of its stages stay."""
        if (beat := self._progress.beats.get(runner)) is not None:
            self._progress.beats[runner] = structs.replace(beat, sources={})
            self._before[runner] = beat.stages

    def _say(self, notes: list[str]) -> None:
        """Pass on what nobody has said yet: many runners have the same to say of a backend or a download."""
        new = [note for note in notes if note not in self._said]
        self._said.update(new)
        self._progress.notes += new
