"""One group of a run as the supervisor sees it."""

from __future__ import annotations

import time

from stream.runtime.hosts import Host
from stream.runtime.reports import Beat, Done, Failed, Ready, Report
from stream.runtime.topology import GroupSpec

_CPU_S = 0.05  # less is no work: a process that waits wakes up now and then


class Member:
    """A group, where it runs, and what was last heard of it."""

    def __init__(self, spec: GroupSpec, host: Host) -> None:
        self.spec, self.host = spec, host
        self.state: type[Report] | None = None
        """Its last report but beats; None before the first."""
        self.wants_figures = False
        """One of its stages shows where the run stands."""
        self._heard_s = self._moved_s = time.monotonic()
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
        elif type(report) in (Ready, Done, Failed) or self.state is None:
            self.state, self._moved_s = type(report), self._heard_s
            self.wants_figures = report.wants_figures if isinstance(report, Ready) else self.wants_figures

    def has_died(self) -> bool:
        """Whether it ended without a last report; true from the second look on, for that may still be under way."""
        if self.is_over or self.host.alive():
            return False
        was_dead, self._dead = self._dead, True
        return was_dead

    def stall(self, limit_s: float, held: int) -> str:
        """Why it is taken for hung; empty while it is not.

        Args:
            limit_s: how long it may make no progress.
            held: slots that it owns: frames that wait for it, or in it.
        """
        now_s = time.monotonic()
        if self.is_over:
            return ""
        if self.state is not Ready:
            return (
                "" if self._is_loading(now_s, limit_s) else f"did not get ready and has done nothing for {limit_s:g} s"
            )
        if now_s - self._heard_s > limit_s:
            return f"gave no sign of life for {limit_s:g} s"
        # Later than the above: who waits for a group that hangs should not be taken for it.
        if held and now_s - self._moved_s > limit_s + 2:
            return f"holds {held} frames and has handed none on for {limit_s:g} s"
        return ""

    def _is_loading(self, now_s: float, limit_s: float) -> bool:
        """Whether it works: what loads, compiles or downloads uses the processor, however long it takes."""
        cpu_s = self.host.cpu_s()
        if cpu_s is None or cpu_s - self._cpu_s > _CPU_S:
            self._cpu_s, self._moved_s = cpu_s or 0.0, now_s
        return now_s - self._moved_s <= limit_s
