"""Starts, watches and stops the groups of a pipeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from msgspec import structs

from configs.errors import EXIT_FAILED, EngineError, PosestreamError
from configs.schema import Settings
from stream.messages import SourceSpec, Status
from stream.runtime import frame_store
from stream.runtime.figures import FiguresClock, figures_of
from stream.runtime.folder import SocketFolder
from stream.runtime.frame_store import FrameStore, StoreFds
from stream.runtime.group import run_group
from stream.runtime.hosts import Host, Process, Thread
from stream.runtime.member import Member
from stream.runtime.progress import Progress
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
    Stop,
)
from stream.runtime.topology import GroupSpec, groups
from stream.runtime.transport import ControlServer, new_context
from stream.runtime.worker import Orders, load_factory

_TICK_S = 0.1
_STOP_S = (3.0, 4.6)  # an interrupted run is abandoned, then killed, so long after: it must end in 5 s
_FAIL_S = (1.0, 30.0)  # a failed run has time to finish its outputs
_IDLE_S = (0.0, 1.0)  # before the first frame there are none, and a stage that loads its model hears nothing
_SLOTS_LEAST = 8
_MAY_PASS = (EXIT_FAILED, EngineError.exit_code)  # a full disk or a wrong setting does not
_RESTARTS_MAX, _RESTARTS_WITHIN_S = 5, 60.0


class StageError(PosestreamError, RuntimeError):
    """A stage failed, and the run with it."""

    def __init__(self, group: str, failed: Failed) -> None:
        super().__init__(failed.text)
        self.group = group
        self.exit_code = failed.exit_code
        if failed.trace:
            self.add_note(f"in stage {group}: {failed.trace}")


class Supervisor:
    """One run of the pipeline over its sources."""

    def __init__(self, settings: Settings, sources: Sequence[SourceSpec], factory: str) -> None:
        """Take note of what is to run; nothing is made yet.

        Args:
            settings: of the run.
            sources: at least one; names differ.
            factory: where stages come from, as module:class.
        """
        self._settings, self._sources, self._factory = settings, sources, factory
        self._is_ipc = settings.runtime.transport == "ipc"
        self._restarted_s: list[float] = []
        self._era = 0
        # Without a word of the user, what a batch on a GPU asks for: the memory is taken only where pictures lie.
        self._slots = settings.runtime.slots or 2 * (settings.infer.batch_max or 8) + 2
        self._members: dict[str, Member] = {}
        self._stores: dict[int, FrameStore] = {}
        self._slots_wanted = _SLOTS_LEAST
        self._failure: StageError | None = None
        self._deadlines_s: tuple[float, float] | None = None
        self._abandoned = False
        self._figures_clock = FiguresClock()
        self.progress = Progress()

    def run(self, stops: Callable[[], int], watch: Callable[[Progress], None]) -> Progress:
        """Run to the end of all sources, or until stopped.

        Args:
            stops: how often the user has asked to stop; 1: finish outputs, in under 5 s; 2: at once.
            watch: called ten times a second with where the run stands.

        Raises:
            StageError: a stage failed; outputs hold what was done until then.
        """
        folder = SocketFolder() if self._is_ipc else None
        try:
            scheme = f"ipc://{folder.path}/" if folder else "inproc://"
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
            self._make_stores(specs)
            self._start(specs)
            while not all(member.is_over for member in self._members.values()):
                self._hear()
                self._look_after(stops())
                self._tell_figures()
                watch(self.progress)
        finally:
            self._clean_up()

    def _make_stores(self, specs: list[GroupSpec]) -> None:
        slot_bytes = self._settings.decode.frame_pixels_max * 3
        for spec in specs if len(specs) > 1 else ():
            if spec.store >= 0:
                fds = frame_store.create(self._slots, slot_bytes)
                self._stores[spec.store] = FrameStore(spec.store, fds, self._slots)

    def _start(self, specs: list[GroupSpec]) -> None:
        start = self._in_process if self._is_ipc else self._in_thread
        for spec in specs:
            host = start(spec)
            self._members[spec.name] = Member(spec, host)
            if isinstance(host, Process):
                self.progress.pids[spec.name] = host.pid

    def _in_process(self, spec: GroupSpec) -> Host:
        fds: dict[int, StoreFds] = {number: store.fds for number, store in self._stores.items()}
        text = self._settings.model_dump_json()
        orders = Orders(spec, text, self._factory, fds, self._slots, os.getpid())
        return Process(orders, [fd for each in fds.values() for fd in set(each)])

    def _in_thread(self, spec: GroupSpec) -> Host:
        factory = load_factory(self._factory)
        return Thread(spec.name, lambda: run_group(spec, self._settings, factory, self._context, self._stores))

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
            case Began():
                self.progress.begin(report)
            case Status():
                self.progress.statuses[report.source] = report
            case Ended():
                self.progress.end(report)
            case Reached():
                self.progress.cuts[report.cut.source] = report.cut
            case Failed():
                self._fail(member, report)
            case Ready():
                self.progress.notes += [
                    note for note in report.notes if not self._era or note not in self.progress.notes
                ]
                self._slots_wanted = max(self._slots_wanted, report.slots_wanted)
                self._go_if_ready()

    def _go_if_ready(self) -> None:
        if all(member.state is Ready for member in self._members.values()):
            self.progress.started_s = self.progress.started_s or time.monotonic()
            for member in self._behind_sources() if self._era else ():
                self._reclaim(member)  # what was sent to those before them
            progress = self.progress
            opened = {name: progress.states(name) for name in progress.began if name not in progress.ended}
            for member in self._members.values():
                go = Go(self._slots_of(member.spec), self._era, opened if self._era else {})
                self._control.send(member.spec.identity, go)

    def _slots_of(self, spec: GroupSpec) -> int:
        """Frames of a decoder that may be under way: of a live source two, for who waits grows old."""
        usual = self._settings.runtime.slots or min(self._slots_wanted, self._slots)
        live = bool(spec.sources) and all(source.live for source in spec.sources)
        return min(usual, 2 * len(spec.sources)) if live else usual

    def _look_after(self, stops: int) -> None:
        now_s = time.monotonic()
        if stops and not self._deadlines_s:
            self._end_early(_STOP_S)
        if stops > 1:
            self._kill_all()
        elif self._deadlines_s and now_s > self._deadlines_s[1]:
            self._kill_all()
        elif self._deadlines_s and now_s > self._deadlines_s[0] and not self._abandoned:
            self._abandoned = True
            self._tell_all(Abandon())
        self._look_for_the_hung()

    def _look_for_the_hung(self) -> None:
        for name, member in self._members.items():
            if member.state is Failed:  # again and again: whoever sends to it does not know yet
                self._reclaim(member)
            held = sum(store.held(member.spec.number) for store in self._stores.values())
            self.progress.held[name] = held
            if stall := member.stall(self._settings.runtime.hang_after_s, held):
                member.host.dump_stacks()
                member.host.kill()
                self._fail(member, Failed(EXIT_FAILED, f"stage {name} {stall}", ""))

    def _fail(self, member: Member, failed: Failed) -> None:
        member.state = Failed
        self._reclaim(member)
        if failed.exit_code in _MAY_PASS and self._may_restart(member):
            self._restart(member, failed)
            return
        self._failure = self._failure or StageError(member.spec.name, failed)
        if not self._deadlines_s:
            self._end_early(_FAIL_S)

    def _may_restart(self, member: Member) -> bool:
        """Whether the stages behind the sources are to begin anew: in a live run, where that helps."""
        is_live = any(begin.live for begin in self.progress.began.values())
        reads = any(each.state is Ready for each in self._members.values() if each.spec.sources)
        if not (is_live and reads and self._is_ipc and not member.spec.sources and not self._deadlines_s):
            return False
        now_s = time.monotonic()
        self._restarted_s = [at_s for at_s in self._restarted_s if now_s - at_s < _RESTARTS_WITHIN_S]
        return len(self._restarted_s) < _RESTARTS_MAX

    def _restart(self, member: Member, failed: Failed) -> None:
        """Start all stages behind the sources anew; the sources stay open, and go on with the last cut's states."""
        self._restarted_s.append(time.monotonic())
        self._era += 1
        count = f"{len(self._restarted_s)} of {_RESTARTS_MAX} restarts in {_RESTARTS_WITHIN_S:.0f} s"
        self.progress.notes.append(f"{failed.text}; the stages behind the sources are started again ({count})")
        behind = self._behind_sources()
        self._tell_all(Hold())
        for each in behind:
            each.host.kill()
            each.host.join()
        for each in behind:
            self._reclaim(each)
        self.progress.restart([each.spec.name for each in behind])
        self._start([self._anew(each.spec) for each in behind])

    def _anew(self, spec: GroupSpec) -> GroupSpec:
        """The group in the next era, which hears of no sender that has finished before."""
        feeds = [each for each in self._members.values() if each.spec.outlet == spec.inbox and each.state is not Done]
        return structs.replace(spec, era=self._era, senders=len(feeds))

    def _behind_sources(self) -> list[Member]:
        return [member for member in self._members.values() if not member.spec.sources]

    def _reclaim(self, member: Member) -> None:
        for store in self._stores.values():
            store.reclaim(member.spec.number)

    def _end_early(self, after_s: tuple[float, float]) -> None:
        if self.progress.started_s is None:
            after_s = _IDLE_S
        now_s = time.monotonic()
        self._deadlines_s = now_s + after_s[0], now_s + after_s[1]
        self._tell_all(Stop())

    def _tell_figures(self) -> None:
        wanting = [member for member in self._members.values() if member.wants_figures and not member.is_over]
        if wanting and self._figures_clock.strikes():
            figures = figures_of(self.progress, self._sources, self._members.values())
            for member in wanting:
                self._control.send(member.spec.identity, figures)

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
        for store in self._stores.values():
            store.fds.close()
            store.close()
