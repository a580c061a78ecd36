"""The one receive-process-send loop, which every group of stages runs, in a thread or a process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import psutil
from msgspec import structs

from configs.errors import EXIT_FAILED, PosestreamError
from configs.schema import Settings
from stream.messages import Begin, Cut, Drop, End, Frame, Message, Status, Tracks, frame_of
from stream.position import Place
from stream.runtime.frame_store import FrameStore
from stream.runtime.in_order import InOrder
from stream.runtime.metrics import Metered, StageMeter, timed
from stream.runtime.reports import Beat, Began, Counts, Done, Ended, Failed, Go, Joined, Reached, Ready
from stream.runtime.topology import Factory, GroupSpec
from stream.runtime.transport import GroupSockets
from stream.stage import Chain, Stage

_BEAT_S = 0.5


def run_group(
    spec: GroupSpec, settings: Settings, factory: Factory, context: Any, stores: Mapping[int, FrameStore]
) -> None:
    """Run a group from its start to its end; errors are reported to the supervisor, not raised."""
    sockets = GroupSockets(spec, context, stores)
    try:
        _GroupLoop(spec, settings, factory, sockets).run()
    except Exception as error:
        sockets.report(failure(error))
    finally:
        sockets.close()


def failure(error: Exception) -> Failed:
    """An error in one line, with the exit code that is its own."""
    text = " ".join(str(error).split()) or type(error).__name__
    code = EXIT_FAILED
    if isinstance(error, PosestreamError):
        code = error.exit_code
    else:
        text = f"{type(error).__name__}: {text}"
    return Failed(code, text, "".join(traceback.format_exception(error)))


class _GroupLoop:
    def __init__(self, spec: GroupSpec, settings: Settings, factory: Factory, sockets: GroupSockets) -> None:
        engine = settings.engine.model_copy(update={"device": spec.device, "threads": spec.threads})
        self._settings = settings.model_copy(update={"engine": engine})
        self._spec, self._factory, self._sockets = spec, factory, sockets
        self._meters = {name: StageMeter() for name in spec.stages}
        self._tally, self._begun = _Tally(), _Begun(spec.begun)
        self._handled = self._noted = 0
        self._has_gap = False
        """Whether the run ends early without frames that were given: from here on nothing is whole at a cut."""
        self._stage: Stage | None = None
        self._beat_due_s = 0.0
        self._process = psutil.Process()

    def run(self) -> None:
        sockets = self._sockets
        sockets.connect()
        sockets.report(Joined())
        stage = self._made()
        try:
            sockets.beat = self._beat
            self._stage = stage
            sockets.take_figures = stage.figures
            sockets.report(Ready(self._new_notes(), stage.slots_wanted, stage.together, stage.wants_figures))
            go = sockets.wait_to_go()
            if self._spec.inbox:
                self._serve(stage)
            else:
                for message in self._begun.again(go) if go else ():
                    self._give(stage.process(message))
                self._read(stage)
            self._give(stage.flush())
        finally:
            stage.close()
        sockets.finish()
        self._beat_due_s = 0.0
        self._beat()
        sockets.report(Done())

    def _new_notes(self) -> list[str]:
        notes = [] if self._stage is None else list(self._stage.notes)[self._noted :]
        self._noted += len(notes)
        return notes

    def _made(self) -> Stage:
        names = self._spec.stages if self._spec.inbox else self._spec.stages[1:]
        made = [(name, self._factory.stage(name, self._settings)) for name in names]
        stages: list[Stage] = [Metered(name, stage, self._meters[name]) for name, stage in made]
        return Chain([InOrder(self._spec.pool), *stages] if self._spec.pool > 1 else stages)

    def _read(self, stage: Stage) -> None:
        """First the slot, then the frame: one that waited for a slot would grow old meanwhile."""
        name = self._spec.stages[0]
        sockets = self._sockets
        source = self._factory.source(self._spec.sources, self._settings, sockets.stopping, sockets.changes)
        messages = timed(name, self._meters[name], source, one_by_one=True)
        while True:
            has_slot = self._sockets.wait_for_slot()
            if self._sockets.restarted:
                self._give(self._begun.again(self._sockets.resume()))
                continue
            message = next(messages, None)
            if message is None:
                return
            self._handled += 1
            if self._begun.knows(message):
                continue
            self._begun.note(message)
            if isinstance(message, Begin):
                self._sockets.report(Began(message))
            elif isinstance(message, Status):
                self._sockets.report(message)
            elif isinstance(message, End):
                self._sockets.end_source()
            if has_slot or not isinstance(message, Frame):
                self._give_whole(message, stage)
            else:
                self._has_gap = self._sockets.stopping()

    def _serve(self, stage: Stage) -> None:
        pause_due_s = 0.0  # counted from the first message after the last pause: that one waits longest
        while not self._sockets.ended():
            message = self._sockets.receive(max(0.0, pause_due_s - time.monotonic()))
            if message is None:
                self._give(stage.pause())
                message = self._sockets.receive(None)
                pause_due_s = time.monotonic() + stage.patience_s
            self._beat()
            if message is None:
                continue
            self._handled += 1
            if isinstance(message, Frame) and self._sockets.stopping():
                self._sockets.release(message)  # nobody has looked at it yet: the run ends early, without it
                self._has_gap = True
                continue
            if frame := frame_of(message):
                self._sockets.begin_on(frame)
            self._give_whole(message, stage)

    def _give_whole(self, message: Message, stage: Stage) -> None:
        if not (isinstance(message, Cut) and self._has_gap):
            self._give(stage.process(message))

    def _give(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._handled += 1
            if isinstance(message, Drop):
                self._sockets.release(message.frame)
                message = structs.replace(message, frame=structs.replace(message.frame, pixels=None))
            if self._spec.outlets:
                self._sockets.send(message)
            else:
                self._count(message)

    def _count(self, message: Message) -> None:
        """Take note of what has passed the whole pipeline."""
        frame = frame_of(message)
        if frame is not None:
            self._sockets.release(frame)
        match message:
            case Tracks() | Drop():
                self._tally.add(message)
            case Cut():
                self._sockets.report(Reached(message, self._tally.sources.get(message.source, Counts())))
            case End():
                self._sockets.report(Ended(message, self._tally.close(message.source)))

    def _beat(self) -> None:
        now_s = time.monotonic()
        if now_s < self._beat_due_s:
            return
        self._beat_due_s = now_s + _BEAT_S
        beat = Beat(
            stages={name: meter.figures() for name, meter in self._meters.items()},
            handled=self._handled,
            sources=self._tally.told(),
            places=self._tally.places,
            people=self._tally.people,
            notes=self._new_notes(),
            sent_bytes=self._sockets.sent_bytes,
            memory_bytes=self._process.memory_info().rss,
            ends_run=self._stage is not None and self._stage.ends_run,
        )
        self._sockets.report(beat)


class _Begun:
    """What the stages behind a source must hear again when they were restarted."""

    def __init__(self, begins: Iterable[Begin]) -> None:
        """`begins`: of sources that another decoder has begun, which has died."""
        self._begins = {begin.spec.name: begin for begin in begins}
        self._ends: dict[str, End] = {}

    def knows(self, message: Message) -> bool:
        """Whether it is the Begin of a source that has begun before."""
        return isinstance(message, Begin) and message.spec.name in self._begins

    def note(self, message: Message) -> None:
        if isinstance(message, Begin):
            self._begins[message.spec.name] = message
        elif isinstance(message, End):
            self._ends[message.source] = message

    def again(self, go: Go) -> Iterator[Message]:
        """The sources that are open, and those whose end was lost on the way."""
        for source, states in go.open.items():
            if source in self._begins:
                begin = self._begins[source]
                yield structs.replace(begin, again=True, spec=structs.replace(begin.spec, states=states))
            if source in self._ends:
                yield self._ends[source]


class _Tally:
    """What has passed the whole pipeline."""

    def __init__(self) -> None:
        self.people = 0
        self.sources: dict[str, Counts] = {}
        self.places: dict[str, Place] = {}
        """The last frame of each open source."""
        self._ages_ms: dict[str, list[float]] = {}

    def add(self, message: Tracks | Drop) -> None:
        frame = message.frame
        self.places[frame.source] = Place(frame.index, frame.epoch, frame.pts_ns, frame.captured_ns)
        counts = self.sources.setdefault(message.frame.source, Counts())
        for cause, frames in message.frame.dropped.items():
            counts.dropped[cause] = counts.dropped.get(cause, 0) + frames
        if isinstance(message, Drop):
            counts.dropped[message.cause] = counts.dropped.get(message.cause, 0) + 1
            return
        counts.frames += 1
        times_ns = message.frame.times_ns.values()
        self._ages_ms.setdefault(message.frame.source, []).append(
            (max(times_ns, default=0) - message.frame.captured_ns) / 1e6
        )
        counts.people += len(message.ids)
        self.people += len(message.ids)

    def told(self) -> dict[str, Counts]:
        """What is done of each open source, with the ages of its frames since the last call."""
        for source, counts in self.sources.items():
            ages = self._ages_ms.pop(source, [])
            counts.age_p95_ms = round(float(np.percentile(ages, 95)), 1) if ages else 0.0
        return self.sources

    def close(self, source: str) -> Counts:
        self._ages_ms.pop(source, None)
        self.places.pop(source, None)
        counts = self.sources.pop(source, Counts())
        counts.age_p95_ms = 0.0
        return counts
