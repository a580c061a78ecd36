"""The one receive-process-send loop, which every group of stages runs, in a thread or a process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from configs.errors import EXIT_FAILED, PosestreamError
from configs.schema import Settings
from stream.messages import Begin, End, Frame, Message, Tracks
from stream.runtime.frame_store import FrameStore
from stream.runtime.metrics import Meter
from stream.runtime.reports import Beat, Began, Done, Ended, Failed, Joined, Ready
from stream.runtime.topology import Factory, GroupSpec, build, read
from stream.runtime.transport import Link, Stopped
from stream.stage import Stage

_BEAT_S = 0.5


def run_group(
    spec: GroupSpec, settings: Settings, factory: Factory, context: Any, stores: Mapping[int, FrameStore]
) -> None:
    """Run a group from its start to its end; errors are reported to the supervisor, not raised."""
    link = Link(spec, context, stores)
    try:
        _Group(spec, settings, factory, link).run()
    except Exception as error:
        link.report(failure(error))
    finally:
        link.close()


def failure(error: Exception) -> Failed:
    """Put an error into one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    code = EXIT_FAILED
    if isinstance(error, PosestreamError):
        code = error.exit_code
    else:
        text = f"{type(error).__name__}: {text}"
    return Failed(code, text, "".join(traceback.format_exception(error)))


class _Group:
    def __init__(self, spec: GroupSpec, settings: Settings, factory: Factory, link: Link) -> None:
        self._spec, self._settings, self._factory, self._link = spec, settings, factory, link
        self._meters: dict[str, Meter] = {}
        self._people = 0
        self._done: dict[str, int] = {}
        self._beat_due_s = 0.0
        self._process = psutil.Process()

    def run(self) -> None:
        link = self._link
        link.connect()
        link.report(Joined())
        engine = self._settings.engine.model_copy(update={"device": self._spec.device})
        settings = self._settings.model_copy(update={"engine": engine})
        stage = build(self._spec.stages, settings, self._factory, self._meters)
        try:
            link.beat = self._beat
            link.report(Ready(list(stage.notes)))
            link.wait_for("go")
            if self._spec.inbox:
                self._serve(stage)
            else:
                self._read(stage)
            self._give(stage.flush())
        finally:
            stage.close()
        link.finish()
        self._beat_due_s = 0.0
        self._beat()
        link.report(Done())

    def _read(self, stage: Stage) -> None:
        messages = read(self._spec, self._settings, self._factory, self._meters, self._link.stopping)
        for message in messages:
            if isinstance(message, Begin):
                self._link.report(Began(message))
            self._give(stage.process(message))

    def _serve(self, stage: Stage) -> None:
        pause_due_s = 0.0  # counted from the first message after the last pause: that one waits longest
        while not self._link.ended():
            message = self._link.receive(max(0.0, pause_due_s - time.monotonic()))
            if message is None:
                self._give(stage.pause())
                message = self._link.receive(None)
                pause_due_s = time.monotonic() + stage.patience_s
            self._beat()
            if message is None or (isinstance(message, Frame) and self._link.stopping()):
                continue  # a frame that nobody has looked at yet: the run ends early, without it
            self._give(stage.process(message))

    def _give(self, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                self._link.send(message)
            except Stopped:
                continue
            if not self._spec.outlet:
                self._count(message)

    def _count(self, message: Message) -> None:
        if isinstance(message, Tracks):
            source = message.frame.source
            self._people += len(message.ids)
            self._done[source] = self._done.get(source, 0) + 1
        elif isinstance(message, End):
            self._link.report(Ended(message, self._done.pop(message.source, 0)))

    def _beat(self) -> None:
        now_s = time.monotonic()
        if now_s < self._beat_due_s:
            return
        self._beat_due_s = now_s + _BEAT_S
        stages = {name: meter.figures() for name, meter in self._meters.items()}
        self._link.report(Beat(stages, self._people, self._link.sent_bytes, self._process.memory_info().rss))
