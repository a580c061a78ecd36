"""Where a whole run stands, for the stages that show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Literal

from stream.figures import RunFigures, SourceFigures
from stream.messages import SourceSpec
from stream.runtime.member import Member
from stream.runtime.progress import Progress
from stream.runtime.reports import Done, Failed, Ready

_EVERY_S = 1.0
_SOURCES_MAX = 256  # a batch may have a hundred thousand files: nobody looks at them all


class FiguresTeller:
    """Tells the groups that want to know it, once a second, where the run stands."""

    def __init__(self, progress: Progress, sources: Sequence[SourceSpec]) -> None:
        self._progress, self._sources = progress, sources
        self._due_s = 0.0

    def tell(self, members: Collection[Member], send: Callable[[str, RunFigures], None]) -> None:
        """Let `send` pass the figures on to each group that wants them, by its identity, if they are due."""
        now_s = time.monotonic()
        wanting = [member for member in members if member.wants_figures and not member.is_over]
        if not wanting or now_s < self._due_s:
            return
        self._due_s = now_s + _EVERY_S
        figures = figures_of(self._progress, self._sources, members)
        for member in wanting:
            send(member.spec.identity, figures)


def figures_of(progress: Progress, sources: Sequence[SourceSpec], members: Iterable[Member]) -> RunFigures:
    """Where a run stands.

    Args:
        progress: what the supervisor has heard.
        sources: all of the run.
        members: its groups.
    """
    named = {spec.name: spec for spec in sources}
    opened = [name for name in progress.began if name not in progress.ended]
    waiting = [name for name in named if name not in progress.began and name not in progress.ended]
    shown = dict.fromkeys(islice((*opened, *reversed(progress.ended), *waiting), _SOURCES_MAX))
    until_s = progress.finished_s or time.monotonic()
    return RunFigures(
        sources=[_source(progress, named[name]) for name in named if name in shown],
        sources_total=len(named),
        sources_ended=len(progress.ended),
        stages=progress.stages(),
        groups={member.spec.name: _state(member) for member in members},
        held=dict(progress.held),
        memory_bytes={group: beat.memory_bytes for group, beat in progress.beats.items()},
        restarts=progress.restarts,
        seconds=until_s - progress.started_s if progress.started_s else 0.0,
    )


def _source(progress: Progress, spec: SourceSpec) -> SourceFigures:
    counts, begun, ended = progress.counts(spec.name), progress.began.get(spec.name), progress.ended.get(spec.name)
    state: Literal["waiting", "starting", "ok", "degraded", "reconnecting", "failed", "paused", "ended", "stopped"]
    reason = ""
    if ended is not None:
        state, reason = ("failed" if ended.end.problem else "ended"), ended.end.problem
        state = "stopped" if ended.end.stopped else state
    elif spec.name in progress.statuses:
        state, reason = progress.statuses[spec.name].state, progress.statuses[spec.name].reason
    else:
        state = "ok" if begun else "waiting"
    return SourceFigures(
        name=spec.name,
        label=spec.label,
        live=begun.live if begun else spec.live,
        state=state,
        reason=reason,
        frames=counts.frames,
        people=counts.people,
        dropped=progress.dropped(spec.name),
        expected=begun.frames if begun else None,
        seconds=progress.seconds(spec.name),
    )


def _state(member: Member) -> Literal["loading", "ready", "done", "failed"]:
    if member.state is Ready:
        return "ready"
    if member.state is Done:
        return "done"
    return "failed" if member.state is Failed else "loading"
