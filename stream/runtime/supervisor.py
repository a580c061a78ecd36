"""Starts, watches and stops the groups of a pipeline."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from configs.errors import EXIT_FAILED
from configs.schema import Settings
from stream.messages import Begin, SourceSpec
from stream.runtime import frame_store
from stream.runtime.frame_store import FrameStore
from stream.runtime.group import run_group
from stream.runtime.hosts import Host, Process, Thread
from stream.runtime.metrics import StageFigures
from stream.runtime.reports import Beat, Began, Command, Done, Ended, Failed, Ready, Report
from stream.runtime.topology import GroupSpec, groups
from stream.runtime.transport import Desk, new_context
from stream.runtime.worker import Orders, load_factory

PIPELINE = "stream.runtime.topology:Pipeline"

_TICK_S = 0.1
_STOP_S = (3.0, 4.6)  # an interrupted run is abandoned, then killed, so long after: it must end in 5 s
_FAIL_S = (1.0, 30.0)  # a failed run has time to finish its outputs
_IDLE_S = (0.0, 1.0)  # before the first frame there are none, and a stage that loads its model hears nothing


class StageError(RuntimeError):
    """A stage failed, and the run with it."""

    def __init__(self, group: str, failed: Failed) -> None:
        super().__init__(failed.text)
        self.group = group
        self.exit_code = failed.exit_code
        self.trace = failed.trace


@dataclass
class Progress:
    """Where a run stands."""

    beats: dict[str, Beat] = field(default_factory=dict)
    """Last figures of each group."""
    began: dict[str, Begin] = field(default_factory=dict)
    """Sources that were opened."""
    ended: dict[str, Ended] = field(default_factory=dict)
    """Sources that have passed the whole pipeline."""
    notes: list[str] = field(default_factory=list)
    """Lines to be shown to the user."""
    started_s: float | None = None
    """Monotonic time when the first frame could flow; None while models load."""
    finished_s: float | None = None
    """Monotonic time when the last group was done; None before."""
    pids: dict[str, int] = field(default_factory=dict)
    """Process of each group; empty where groups are threads."""

    def stages(self) -> dict[str, StageFigures]:
        """Give each stage's figures; of several decoders, the last heard of with the frames of all."""
        merged: dict[str, StageFigures] = {}
        for beat in self.beats.values():
            for name, figures in beat.stages.items():
                before = merged.get(name, StageFigures())
                merged[name] = structs.replace(
                    figures, frames=figures.frames + before.frames, busy_s=figures.busy_s + before.busy_s
                )
        return merged


class Supervisor:
    """One run of the pipeline over its sources."""

    def __init__(self, settings: Settings, sources: Sequence[SourceSpec], factory: str = PIPELINE) -> None:
        """Lay the run out; nothing starts yet.

        Args:
            settings: of the run.
            sources: at least one; names differ.
            factory: where stages come from, as module:class.
        """
        self._settings, self._factory = settings, factory
        self._ipc = settings.runtime.transport == "ipc"
        self._folder = Path(tempfile.mkdtemp(prefix="posestream-")) if self._ipc else None
        scheme = f"ipc://{self._folder}/" if self._ipc else "inproc://"
        self._groups = groups(settings, sources, lambda queue: scheme + queue)
        self._context = new_context()
        self._hosts: dict[str, Host] = {}
        self._states: dict[str, type[Report] | None] = {spec.name: None for spec in self._groups}
        self._heard_s: dict[str, float] = {}
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
        self._desk = Desk(self._context, self._groups[0].control)
        fds = self._make_stores()
        try:
            self._start(fds)
            while not self._over():
                self._hear()
                self._look_after(stops())
                watch(self.progress)
        finally:
            self._clean_up(fds)
        self.progress.finished_s = time.monotonic()
        if self._failure:
            raise self._failure
        return self.progress

    def _make_stores(self) -> dict[int, int]:
        if len(self._groups) == 1:
            return {}
        slot_bytes = self._settings.decode.frame_pixels_max * 3
        decoders = [spec.store for spec in self._groups if spec.store >= 0]
        return {store: frame_store.create(self._settings.runtime.slots, slot_bytes) for store in decoders}

    def _start(self, fds: dict[int, int]) -> None:
        start = self._in_process(fds) if self._ipc else self._in_thread(fds)
        for spec in self._groups:
            host = self._hosts[spec.name] = start(spec)
            self._heard_s[spec.name] = time.monotonic()
            if isinstance(host, Process):
                self.progress.pids[spec.name] = host.pid

    def _in_process(self, fds: dict[int, int]) -> Callable[[GroupSpec], Host]:
        text = self._settings.model_dump_json()
        return lambda spec: Process(Orders(spec, text, self._factory, fds, os.getpid()), list(fds.values()))

    def _in_thread(self, fds: dict[int, int]) -> Callable[[GroupSpec], Host]:
        stores = {number: FrameStore(number, fd, self._settings.runtime.slots) for number, fd in fds.items()}
        factory = load_factory(self._factory)

        def start(spec: GroupSpec) -> Host:
            return Thread(spec.name, lambda: run_group(spec, self._settings, factory, self._context, stores))

        return start

    def _over(self) -> bool:
        return all(state in (Done, Failed) for state in self._states.values())

    def _hear(self) -> None:
        dead = [group for group, host in self._hosts.items() if not host.alive()]
        heard = self._desk.receive(_TICK_S)
        if heard is None:  # had the dead said a last word, it would have come by now
            self._bury(dead)
        while heard is not None:
            self._take(*heard)
            heard = self._desk.receive(0)

    def _take(self, group: str, report: Report) -> None:
        self._heard_s[group] = time.monotonic()
        match report:
            case Beat():
                self.progress.beats[group] = report
            case Began():
                self.progress.began[report.begin.spec.name] = report.begin
            case Ended():
                self.progress.ended[report.end.source] = report
            case Failed():
                self._fail(group, report)
            case Ready():
                self.progress.notes += report.notes
                self._states[group] = Ready
                self._move_on(Ready)
            case _:
                self._states[group] = type(report)
                self._move_on(type(report))

    def _move_on(self, state: type[Report]) -> None:
        reached = list(self._states.values())
        if self._folder and None not in reached:
            shutil.rmtree(self._folder, ignore_errors=True)  # all are joined: sockets need their names no more
        if state is Ready and all(one is Ready for one in reached):
            self.progress.started_s = time.monotonic()
            self._tell_all("go")

    def _bury(self, dead: Sequence[str]) -> None:
        """Take note of groups that ended without a report."""
        for group in dead:
            if self._states[group] not in (Done, Failed):
                self._fail(group, Failed(EXIT_FAILED, f"stage {group} {self._hosts[group].fate()}", ""))

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
            self._tell_all("abandon")
        self._look_for_the_hung(now_s)

    def _look_for_the_hung(self, now_s: float) -> None:
        limit_s = self._settings.runtime.hang_after_s
        for group, state in self._states.items():
            if state is Ready and now_s - self._heard_s[group] > limit_s:
                self._hosts[group].dump_stacks()
                self._hosts[group].kill()
                self._fail(group, Failed(EXIT_FAILED, f"stage {group} gave no sign of life for {limit_s:g} s", ""))

    def _fail(self, group: str, failed: Failed) -> None:
        self._states[group] = Failed
        self._failure = self._failure or StageError(group, failed)
        if not self._deadlines_s:
            self._end_early(_FAIL_S)

    def _end_early(self, after_s: tuple[float, float]) -> None:
        if self.progress.started_s is None:
            after_s = _IDLE_S
        now_s = time.monotonic()
        self._deadlines_s = now_s + after_s[0], now_s + after_s[1]
        self._tell_all("stop")

    def _tell_all(self, command: Command) -> None:
        for group in self._hosts:
            self._desk.tell(group, command)

    def _kill_all(self) -> None:
        for group, host in self._hosts.items():
            if self._states[group] not in (Done, Failed):
                host.kill()
                self._states[group] = Failed

    def _clean_up(self, fds: dict[int, int]) -> None:
        for group, host in self._hosts.items():
            if self._states[group] is not Done:
                host.kill()
            host.join()
        self._desk.close()
        if not any(host.alive() for host in self._hosts.values()):
            self._context.term()
        for fd in fds.values():
            os.close(fd)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
