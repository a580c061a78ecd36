"""What a live run is asked and told while it goes on: new sources are checked as at the start."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong
from contextlib import ExitStack
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

from configs.errors import PosestreamError, RefusedError, SourceError
from configs.schema import Settings
from stream.changes import Add, Change, Pause, Remove, Resume
from stream.control_socket import ControlSocket, List, Open, Reply, Request
from stream.live_rows import LiveFigures, LiveRows
from stream.messages import SourceSpec
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.runtime.supervisor import Supervisor
from stream.sources.find import find
from stream.sources.streams_list import named_source

_TURN_S = 5.0  # the run takes a turn ten times a second


class Admission:
    """Answers requests from threads of their own; what concerns the run itself is done in `turn`, by its own thread."""

    def __init__(self, settings: Settings, specs: Sequence[SourceSpec], supervisor: Supervisor) -> None:
        self._settings, self._supervisor = settings, supervisor
        self._taken = {spec.name for spec in specs}
        self._admitting = Lock()
        self._asked: SimpleQueue[tuple[Callable[[], Reply], Future[Reply]]] = SimpleQueue()
        self._added: list[SourceSpec] = []
        self._rows = LiveRows()
        self._figures: list[LiveFigures] = []
        self._held = ExitStack()
        self._socket: ControlSocket | None = None

    def turn(self, progress: Progress) -> list[SourceSpec]:
        """Do what was asked for; the sources that were added."""
        if self._socket is None and self._supervisor.folder is not None:
            self._socket = ControlSocket(self._supervisor.folder, self._answer)
        self._figures = self._rows.figures(progress)
        while True:
            try:
                work, future = self._asked.get_nowait()
            except Empty:
                break
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
        added, self._added = self._added, []
        return added

    def close(self) -> None:
        """Answer no more, and give the folders of added sources free."""
        if self._socket is not None:
            self._socket.close()
        self._held.close()

    def _answer(self, request: Request) -> Reply:
        try:
            match request:
                case List():
                    return self._in_turn(lambda: Reply(sources=self._figures, pid=os.getpid()))
                case Open():
                    return self._open(request.source)
                case Remove() | Pause() | Resume():
                    return self._in_turn(lambda: self._change(request))
        except PosestreamError as error:
            return Reply(error.exit_code, str(error))

    def _in_turn(self, work: Callable[[], Reply]) -> Reply:
        future: Future[Reply] = Future()
        self._asked.put((work, future))
        try:
            return future.result(_TURN_S)
        except TookTooLong:
            raise SourceError("the run is ending") from None

    def _change(self, change: Change) -> Reply:
        self._supervisor.change(change)
        return Reply()

    def _open(self, asked: str) -> Reply:
        with self._admitting:
            placed = self._admitted(asked)
        return self._in_turn(lambda: self._add(placed))

    def _admitted(self, asked: str) -> list[SourceSpec]:
        """The sources that are meant, checked as at the start, with folders of their own."""
        from stream.sources.probe import check  # loads FFmpeg

        source, settings = self._settings.source, self._settings
        name, address = named_source(asked)
        specs = find([address], source.realtime, source.allow_pipe, self._taken, name)
        for spec in specs:
            if not spec.live:
                raise SourceError(f"{spec.label}: not a live source; files need a run of their own")
            if spec.uri == "-":
                raise RefusedError("-: the standard input is the run's own from its start; name a pipe")
        if not any(spec.kind == "pipe" for spec in specs):  # what was read of one is gone
            check(specs, settings.decode, settings.live)
        placed = [self._placed(spec) for spec in specs]
        self._taken |= {spec.name for spec in specs}
        return placed

    def _placed(self, spec: SourceSpec) -> SourceSpec:
        folder = self._settings.output.folder
        output = {"folder": None if folder is None else str(Path(folder) / spec.name)}
        update = {"output": self._settings.output.model_copy(update=output)}
        (placed,) = self._held.enter_context(output_folders([spec], self._settings.model_copy(update=update)))
        return placed

    def _add(self, placed: Sequence[SourceSpec]) -> Reply:
        for spec in placed:
            self._supervisor.change(Add(spec))
            self._added.append(spec)
        return Reply(text="\n".join(f"{spec.name} is added; its outputs: {spec.folder}" for spec in placed))
