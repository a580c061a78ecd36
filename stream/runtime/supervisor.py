"""Starts, watches and stops the groups of a pipeline."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from configs.errors import EXIT_FAILED, PosestreamError
from configs.schema import Settings
from stream.messages import Begin, Cut, SourceSpec, StageFigures
from stream.runtime import frame_store
from stream.runtime.folder import SocketFolder
from stream.runtime.frame_store import FrameStore, StoreFds
from stream.runtime.group import run_group
from stream.runtime.hosts import Host, Process, Thread
from stream.runtime.member import Member
from stream.runtime.reports import (
    Abandon,
    Beat,
    Began,
    Command,
    Counts,
    Done,
    Ended,
    Failed,
    Go,
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


class StageError(PosestreamError, RuntimeError):
    """A stage failed, and the run with it."""

    def __init__(self, group: str, failed: Failed) -> None:
        super().__init__(failed.text)
        self.group = group
        self.exit_code = failed.exit_code
        if failed.trace:
            self.add_note(f"in stage {group}: {failed.trace}")


@dataclass
class Progress:
    """Where a run stands."""

    beats: dict[str, Beat] = field(default_factory=dict)
    """Last figures of each group."""
    began: dict[str, Begin] = field(default_factory=dict)
    """Sources that were opened."""
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
    held: dict[str, int] = field(default_factory=dict)
    """Frames that wait for a group or are in it."""
    _began_s: dict[str, float] = field(default_factory=dict)
    _ended_s: dict[str, float] = field(default_factory=dict)

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
        if source in self.ended:
            return self.ended[source].counts
        return next((beat.sources[source] for beat in self.beats.values() if source in beat.sources), Counts())

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
        # Without a word of the user, what a batch on a GPU asks for: the memory is taken only where pictures lie.
        self._slots = settings.runtime.slots or 2 * (settings.infer.batch_max or 8) + 2
        self._members: dict[str, Member] = {}
        self._stores: dict[int, FrameStore] = {}
        self._slots_wanted = _SLOTS_LEAST
        self._failure: StageError | None = None
        self._deadlines_s: tuple[float, float] | None = None
        self._abandoned = False
        self.progress = Progress()

    def run(self, stops: Callable[[], int], watch: Callable[[Progress], None]) -> Progress:
        """Run to the end of all sources, or until stopped.

        Args:
            stops: how often the user has asked to stop; 1: finish outputs, in under 5 s; 2: at once.
            watch: called ten times a second with where the run stands.

        Raises:
            StageError: a stage failed; outputs hold what was done until then.
        """
        is_ipc = self._settings.runtime.transport == "ipc"
        folder = SocketFolder() if is_ipc else None
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
                watch(self.progress)
        finally:
            self._clean_up()

    def _make_stores(self, specs: list[GroupSpec]) -> None:
        slot_bytes = self._settings.decode.frame_px2_max * 3
        for spec in specs if len(specs) > 1 else ():
            if spec.store >= 0:
                fds = frame_store.create(self._slots, slot_bytes)
                self._stores[spec.store] = FrameStore(spec.store, fds, self._slots)

    def _start(self, specs: list[GroupSpec]) -> None:
        start = self._in_process if self._settings.runtime.transport == "ipc" else self._in_thread
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

    def _take(self, group: str, report: Report) -> None:
        member = self._members[group]
        if member.is_over:
            return
        member.hear(report)
        match report:
            case Beat():
                self.progress.beats[group] = report
            case Began():
                self.progress.begin(report)
            case Ended():
                self.progress.end(report)
            case Reached():
                self.progress.cuts[report.cut.source] = report.cut
            case Failed():
                self._fail(member, report)
            case Ready():
                self.progress.notes += report.notes
                self._slots_wanted = max(self._slots_wanted, report.slots_wanted)
                self._go_if_ready()

    def _go_if_ready(self) -> None:
        if all(member.state is Ready for member in self._members.values()):
            self.progress.started_s = time.monotonic()
            self._tell_all(Go(self._settings.runtime.slots or min(self._slots_wanted, self._slots)))

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
        self._failure = self._failure or StageError(member.spec.name, failed)
        if not self._deadlines_s:
            self._end_early(_FAIL_S)

    def _reclaim(self, member: Member) -> None:
        for store in self._stores.values():
            store.reclaim(member.spec.number)

    def _end_early(self, after_s: tuple[float, float]) -> None:
        if self.progress.started_s is None:
            after_s = _IDLE_S
        now_s = time.monotonic()
        self._deadlines_s = now_s + after_s[0], now_s + after_s[1]
        self._tell_all(Stop())

    def _tell_all(self, command: Command) -> None:
        for group in self._members:
            self._control.send(group, command)

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
