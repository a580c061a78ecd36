"""Starts, watches and stops the groups of a pipeline."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import structs

from configs.errors import EXIT_FAILED
from configs.outlets import SECRETS
from configs.schema import Settings
from stream.changes import Change, changed
from stream.messages import SourceSpec, Status
from stream.runtime.figures import FiguresTeller
from stream.runtime.folder import SocketFolder
from stream.runtime.group import run_group
from stream.runtime.hosts import Host, Process, Thread
from stream.runtime.member import Member, continued, reader_of
from stream.runtime.progress import Delivered, Progress
from stream.runtime.recovers import MAY_PASS, Death, Recovers, StageError
from stream.runtime.reports import (
    Abandon,
    Beat,
    Began,
    Command,
    Done,
    Ended,
    Failed,
    Go,
    Hold,
    Reached,
    Ready,
    Report,
    Slots,
    Stop,
)
from stream.runtime.restarts import Restarts
from stream.runtime.stores import Stores, usual_slots
from stream.runtime.topology import GroupSpec, groups
from stream.runtime.transport import ControlServer, new_context
from stream.runtime.worker import Orders, load_factory

_TICK_S = 0.1
_STOP_S = (3.0, 4.6)  # an interrupted run is abandoned, then killed, so long after: it must end in 5 s
_FAIL_S = (1.0, 30.0)  # a failed run has time to finish its outputs
_IDLE_S = (0.0, 1.0)  # before the first frame there are none, and a stage that loads its model hears nothing
_SLOTS_LEAST = 8
_QUIET_S = 10.0  # a live run does not wait longer for a group that neither speaks nor computes


class Supervisor:
    """One run of the pipeline over its sources."""

    def __init__(
        self,
        settings: Settings,
        sources: Sequence[SourceSpec],
        factory: str,
        progress: Progress | None = None,
        recovery: Recovers | None = None,
    ) -> None:
        """Take note of what is to run; nothing is made yet.

        Args:
            settings: of the run.
            sources: at least one; names differ.
            factory: where stages come from, as module:class.
            progress: of runs before this one, which it goes on with; None: there were none.
            recovery: what does the remembering; None: a failure ends a run that loses nothing.
        """
        self._recovery = recovery
        self._settings, self._sources, self._factory = settings, sources, factory
        self._is_ipc = settings.runtime.transport == "ipc"
        self._restarts = Restarts()
        self._era = 0
        self._slots = 0
        self._members: dict[str, Member] = {}
        self._stores = Stores((), 0, 0)
        self._together = 1
        self._failure: StageError | None = None
        self._deadlines_s: tuple[float, float] | None = None
        self._abandoned = False
        self._quiet_s = _QUIET_S if any(spec.live for spec in sources) else math.inf
        self.progress = progress or Progress()
        self._figures = FiguresTeller(self.progress, sources)
        self.folder: Path | None = None
        """This run's own, while it lasts, where its sockets may lie; None: it needs none."""

    def change(self, change: Change) -> None:
        """Pass on what is to change among the live sources; from `watch` alone.

        Raises:
            SourceError: no such source is read, or the run has not begun to read.
        """
        member = reader_of(change, [each for each in self._members.values() if each.state is Ready])
        member.spec = structs.replace(member.spec, sources=changed(member.spec.sources, change))
        for command in (change, Slots(self._slots_of(member.spec))):
            self._control.send(member.spec.identity, command)

    def run(
        self,
        stops: Callable[[], int],
        watch: Callable[[Progress], None],
        delivered: Callable[[str], Delivered | None] = lambda _: None,
    ) -> Progress:
        """Run to the end of all sources, or until stopped.

        Args:
            stops: how often the user has asked to stop; 1: finish outputs, in under 5 s; 2: at once.
            watch: called ten times a second with where the run stands.
            delivered: asked while no stage behind the sources runs: what a source's records hold; None: it has none.

        Raises:
            StageError: a stage failed; outputs hold what was done until then.
        """
        live = any(spec.live for spec in self._sources)
        self._delivered = delivered
        folder = SocketFolder() if self._is_ipc or live else None
        self.folder = folder.path if folder else None
        try:
            scheme = f"ipc://{self.folder}/" if self._is_ipc else "inproc://"
            self._run(groups(self._settings, self._sources, lambda queue: scheme + queue), stops, watch)
        finally:
            if folder:
                folder.remove()
        self.progress.finished_s = time.monotonic()
        if self._failure:
            raise self._failure
        return self.progress

    def _run(self, specs: list[GroupSpec], stops: Callable[[], int], watch: Callable[[Progress], None]) -> None:
        self._context = new_context()
        self._control = ControlServer(self._context, specs[0].control)
        try:
            self._slots = self._settings.runtime.slots or usual_slots(specs, self._settings.infer.batch_max)
            pixels_max = self._settings.decode.frame_pixels_max
            self._stores = Stores(specs if len(specs) > 1 else (), self._slots, 3 * pixels_max)
            self._start(specs)
            while not all(member.is_over for member in self._members.values()):
                self._hear()
                self._look_after(stops() or int(self.progress.ended_by_user))
                self._figures.tell(self._members.values(), self._control.send)
                watch(self.progress)
        finally:
            self._clean_up()

    def _start(self, specs: list[GroupSpec]) -> None:
        start = self._in_process if self._is_ipc else self._in_thread
        for spec in specs:
            host = start(spec)
            self._members[spec.name] = Member(spec, host)
            if isinstance(host, Process):
                self.progress.pids[spec.name] = host.pid

    def _in_process(self, spec: GroupSpec) -> Host:
        fds, text = self._stores.fds, self._settings.model_dump_json(context={SECRETS: True})
        orders = Orders(spec, text, self._factory, fds, self._slots, os.getpid())
        return Process(orders, [fd for each in fds.values() for fd in set(each)])

    def _in_thread(self, spec: GroupSpec) -> Host:
        factory = load_factory(self._factory)
        stores = self._stores.by_number
        return Thread(spec.name, lambda: run_group(spec, self._settings, factory, self._context, stores))

    def _hear(self) -> None:
        heard = self._control.receive(_TICK_S)
        while heard is not None:
            self._take(*heard)
            heard = self._control.receive(0)
        for member in self._members.values():
            if member.has_died():
                text = f"stage {member.spec.name} {member.host.exit_reason()}"
                self._fail(member, Failed(EXIT_FAILED, text, ""))

    def _take(self, identity: str, report: Report) -> None:
        group = identity.rpartition("@")[0]
        member = self._members[group]
        if member.is_over or member.spec.identity != identity:  # a last word of one that was killed
            return
        member.hear(report)
        match report:
            case Beat():
                self.progress.beats[group] = report
                self.progress.notes += report.notes
                self.progress.ended_by_user |= report.ends_run
            case Began():
                self.progress.begin(report)
            case Status():
                self.progress.statuses[report.source] = report
            case Ended():
                self.progress.end(report)
            case Reached():
                self.progress.reach(report)
                self._restarts.succeed()
                if self._recovery is not None:
                    self._recovery.keep(report)
            case Failed():
                self._fail(member, report)
            case Ready():
                self.progress.take((*member.spec.stages, member.spec.device), report.notes)
                self._together = max(self._together, report.together)
                self._go_if_ready()

    def _go_if_ready(self) -> None:
        if all(member.state in (Ready, Done) for member in self._members.values()):
            self.progress.started_s = self.progress.started_s or time.monotonic()
            behind = [member for member in self._members.values() if self._era and not member.spec.sources]
            for member in behind:
                self._stores.reclaim(member.spec.number)  # what was sent to those before them
            progress = self.progress
            opened = {name: progress.states(name) for name in progress.began if name not in progress.ended}
            for member in self._members.values():
                go = Go(self._slots_of(member.spec), self._together, self._era, opened if self._era else {})
                self._control.send(member.spec.identity, go)

    def _slots_of(self, spec: GroupSpec) -> int:
        """Frames of a decoder that may be under way: of a live source two, for who waits grows old."""
        wanted = sum(member.slots_wanted for member in self._members.values())
        usual = self._settings.runtime.slots or min(max(wanted, _SLOTS_LEAST), self._slots)
        live = bool(spec.sources) and all(source.live for source in spec.sources)
        return min(usual, 2 * len(spec.sources)) if live else usual

    def _look_after(self, stops: int) -> None:
        now_s = time.monotonic()
        if stops and not self._deadlines_s:
            self._end_early(_STOP_S)
        if stops > 1 or (self._deadlines_s and now_s > self._deadlines_s[1]):
            self._kill_all()
        elif self._deadlines_s and now_s > self._deadlines_s[0] and not self._abandoned:
            self._abandoned = True
            self._tell_all(Abandon())
        self._look_for_the_hung()

    def _look_for_the_hung(self) -> None:
        for name, member in self._members.items():
            if member.state is Failed:  # again and again: whoever sends to it does not know yet
                self._stores.reclaim(member.spec.number)
            held = self._stores.held(member.spec.number)
            self.progress.held[name] = held
            if stall := member.stall(self._settings.runtime.hang_after_s, held, self._quiet_s):
                member.host.dump_stacks()
                member.host.kill()
                self._fail(member, Failed(EXIT_FAILED, f"stage {name} {stall}", ""))

    def _fail(self, member: Member, failed: Failed) -> None:
        member.state = Failed
        death = Death(failed, bool(member.spec.sources), self._stores.at_work(member.spec))
        self._stores.reclaim(member.spec.number)
        may_restart = failed.exit_code in MAY_PASS and self._may_restart(member)
        if may_restart and (count := self._restarts.take()):
            self._restart(member, failed, count)
            return
        is_first, self._failure = self._failure is None, self._failure or StageError(member.spec.name, failed)
        if is_first and not self._deadlines_s and self._recovery is not None and self._recovery.grants(death):
            self._kill_all()
        elif not self._deadlines_s:
            self._end_early(_FAIL_S)

    def _may_restart(self, member: Member) -> bool:
        """Whether the stages behind the sources are to begin anew: in a live run, where that helps."""
        is_live = any(begin.live for begin in self.progress.began.values())
        if member.spec.sources:
            reads = all(spec.live for spec in member.spec.sources)
        else:
            reads = any(each.state is Ready for each in self._members.values() if each.spec.sources)
        return is_live and reads and self._is_ipc and not self._deadlines_s

    def _restart(self, member: Member, failed: Failed, count: str) -> None:
        """Start the group that failed and all behind the sources anew; they go on with the last cut's states."""
        self._era += 1
        self.progress.notes.append(f"{failed.text}; the stages behind the sources are started again ({count})")
        behind = [each for each in self._members.values() if each is member or not each.spec.sources]
        self._tell_all(Hold())
        for each in behind:
            each.host.kill()
            each.host.join()
        for each in behind:
            self._stores.reclaim(each.spec.number)
        self.progress.restart([each.spec.name for each in behind], self._delivered)
        if member.spec.sources:
            member.spec = continued(member.spec, self.progress)
            if not member.spec.sources:  # it has read them all
                member.state = Done
        self._start([self._anew(each.spec) for each in behind if each.state is not Done])

    def _anew(self, spec: GroupSpec) -> GroupSpec:
        """The group in the next era, which hears of no sender that has finished before."""
        feeds = [each for each in self._members.values() if spec.inbox in each.spec.outlets and each.state is not Done]
        return structs.replace(spec, era=self._era, senders=len(feeds))

    def _end_early(self, after_s: tuple[float, float]) -> None:
        if self.progress.started_s is None:
            after_s = _IDLE_S
        now_s = time.monotonic()
        self._deadlines_s = now_s + after_s[0], now_s + after_s[1]
        self._tell_all(Stop())

    def _tell_all(self, command: Command) -> None:
        for member in self._members.values():
            self._control.send(member.spec.identity, command)

    def _kill_all(self) -> None:
        for member in self._members.values():
            if not member.is_over:
                member.host.kill()
                member.state = Failed

    def _clean_up(self) -> None:
        for member in self._members.values():
            if member.state is not Done:
                member.host.kill()
            member.host.join()
        self._control.close()
        if not any(member.host.alive() for member in self._members.values()):
            self._context.term()
        self._stores.close()
