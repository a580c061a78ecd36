"""One group of a run as the supervisor sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from msgspec import structs

from configs.errors import SourceError
from stream.changes import Add, Change
from stream.position import to_state
from stream.runtime.hosts import Host
from stream.runtime.progress import Progress
from stream.runtime.reports import Beat, Done, Failed, Ready, Report
from stream.runtime.topology import GroupSpec

_CPU_S = 0.05  # less is no work: a process that waits wakes up now and then


class Member:
    """A group, where it runs, and what was last heard of it."""

    def __init__(self, spec: GroupSpec, host: Host) -> None:
        self.spec, self.host = spec, host
        self.state: type[Report] | None = None
        """Its last report but beats; None before the first."""
        self.slots_wanted = 0
        """Slots that keep it busy."""
        self.wants_figures = False
        """One of its stages shows where the run stands."""
        self._heard_s = self._moved_s = self._worked_s = time.monotonic()
        self._handled = -1
        self._cpu_s = 0.0
        self._dead = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in (Done, Failed)

    def hear(self, report: Report) -> None:
        """Take note of a report."""
        self._heard_s = time.monotonic()
        if isinstance(report, Beat):
            if report.handled != self._handled:
                self._handled, self._moved_s = report.handled, self._heard_s
        elif isinstance(report, Ready):
            self.state, self._moved_s, self.slots_wanted = Ready, self._heard_s, report.slots_wanted
            self.wants_figures = report.wants_figures
        elif type(report) in (Done, Failed) or self.state is None:
            self.state, self._moved_s = type(report), self._heard_s

    def has_died(self) -> bool:
        """Whether it ended without a last report; true from the second look on, for that may still be under way."""
        if self.is_over or self.host.alive():
            return False
        was_dead, self._dead = self._dead, True
        return was_dead

    def stall(self, limit_s: float, held: int, quiet_s: float = math.inf) -> str:
        """Why it is taken for hung; empty while it is not.

        Args:
            limit_s: how long it may make no progress.
            held: slots that it owns: frames that wait for it, or in it.
            quiet_s: how long it may give no sign of life where it does not use the processor either.
        """
        now_s = time.monotonic()
        if self.is_over:
            return ""
        if self.state is not Ready:
            return "" if self._works(now_s, limit_s) else f"did not get ready and has done nothing for {limit_s:g} s"
        if now_s - self._heard_s > limit_s:
            return f"gave no sign of life for {limit_s:g} s"
        if now_s - self._heard_s > 1.0 and not self._works(now_s, quiet_s):
            return f"gave no sign of life and did nothing for {quiet_s:g} s"
        # Later than the above: who waits for a group that hangs should not be taken for it.
        if held and now_s - self._moved_s > limit_s + 2:
            return f"holds {held} frames and has handed none on for {limit_s:g} s"
        return ""

    def _works(self, now_s: float, limit_s: float) -> bool:
        """Whether it has used the processor within that time, or would have, as who loads or computes does."""
        cpu_s = self.host.cpu_s()
        if cpu_s is None or cpu_s - self._cpu_s > _CPU_S or self.host.wants_cpu():
            self._cpu_s, self._worked_s = cpu_s or 0.0, now_s
        return now_s - max(self._worked_s, self._heard_s) <= limit_s


def reader_of(change: Change, members: Sequence[Member]) -> Member:
    """The group that a change of sources is for: who reads that source; a new one goes to who reads the fewest.

    Args:
        change: what is to change.
        members: groups that are at work.

    Raises:
        SourceError: none reads it.
    """
    live = [each for each in members if any(spec.live for spec in each.spec.sources)]
    if isinstance(change, Add):
        if live:
            return min(live, key=lambda each: len(each.spec.sources))
        raise SourceError(f"{change.spec.name} cannot be added: no live source is being read; the run starts or ends")
    for each in live:
        if any(spec.name == change.source and spec.live for spec in each.spec.sources):
            return each
    names = [spec.name for each in live for spec in each.spec.sources if spec.live]
    raise SourceError(f"no live source {change.source} is being read; there are {', '.join(names) or 'none'}")


def continued(spec: GroupSpec, progress: Progress) -> GroupSpec:
    """A group that reads live sources, to be started anew: those that have not ended go on after their last frames."""
    sources = []
    for source in spec.sources:
        if source.name not in progress.ended:
            place = progress.places.get(source.name)
            sources.append(structs.replace(source, states={"decode": to_state(place)}) if place else source)
    begun = tuple(progress.began[source.name] for source in sources if source.name in progress.began)
    return structs.replace(spec, sources=tuple(sources), begun=begun)
