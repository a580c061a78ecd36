"""What a process of a cluster does: one task after the other, each a run of the whole pipeline on its machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from configs.errors import EXIT_FAILED, OutputError, PosestreamError
from configs.schema import Settings
from stream.distributed.found import FOUND_PIPELINE
from stream.distributed.parts import PartFinder, plan
from stream.distributed.site import site
from stream.distributed.tasks import (
    Failure,
    Files,
    Finish,
    Look,
    Outcome,
    Part,
    Plan,
    Shared,
    Task,
    from_bytes,
    task_from,
    to_bytes,
)
from stream.launch import launch
from stream.messages import SourceSpec
from stream.outputs import lock
from stream.runtime.progress import Progress
from stream.runtime.reports import Beat, Ended
from stream.sinks.output import writing
from stream.unfinished import WRITER

_WRITER_S = 60.0
"""So long at most what is left of a lost runner may go on writing."""


class Runner:
    """Does tasks; `look` and `stop` may be called by other threads meanwhile.

    Messages come and go as bytes: what carries them need not know them.
    """

    def __init__(self, settings: str, factory: str) -> None:
        """Take note of a run's settings, as JSON, and of where its stages come from, as module:class."""
        read = Settings.model_validate_json(settings)
        output = read.output.model_copy(update={"overwrite": False})  # a task given again goes on
        self._settings = read.model_copy(update={"output": output})
        self._factory = factory
        self._stops = 0
        self._progress = Progress()
        self._finder: PartFinder | None = None

    def site(self, shared: bytes) -> bytes:
        """A `Site`, given a `Shared`."""
        return to_bytes(site(self._settings.engine, from_bytes(shared, Shared)))

    def work(self, task: bytes) -> bytes:
        """An `Outcome`, given a `Task`; nothing is raised but for a fault of the program."""
        self._progress = Progress()
        try:
            return to_bytes(self._done(task_from(task)))
        except PosestreamError as error:
            return to_bytes(Outcome(failure=Failure(error.exit_code, str(error))))
        except Exception as error:
            return to_bytes(Outcome(failure=Failure(EXIT_FAILED, f"internal error: {error!r}")))

    def look(self) -> bytes:
        """A `Look` at the task at hand, or at the last one."""
        return to_bytes(_look(self._progress))

    def stop(self) -> None:
        """End the task at hand, its outputs finished with what was done."""
        self._stops += 1

    def _done(self, task: Task) -> Outcome:
        match task:
            case Files():
                return self._files(task.specs, self._factory)
            case Finish():
                return self._files([task.spec], FOUND_PIPELINE)
            case Plan():
                return Outcome(parts=plan(task, self._settings))
            case Part():
                finder = self._finder or PartFinder(self._settings, self._factory)
                self._finder = None  # after an error its network may still hold frames
                outcome = finder.find(task, lambda: self._stops > 0)
                self._finder = finder
                return outcome

    def _files(self, specs: Sequence[SourceSpec], factory: str) -> Outcome:
        with _writing(specs):
            summary, failure = launch(self._settings, specs, lambda: self._stops, self._watch, factory, alone=False)
        told = None if failure is None else Failure(failure.exit_code, str(failure))
        return Outcome(tuple(summary.sources), failure=told, look=_look(self._progress))

    def _watch(self, progress: Progress) -> None:
        self._progress = progress


def _look(progress: Progress) -> Look:
    """Where a run stands, which goes on meanwhile."""
    opened = [name for name in list(progress.began) if name not in progress.ended]
    beat = Beat(
        stages=progress.stages(),
        handled=0,
        sources={name: progress.counts(name) for name in opened},
        places={},
        people=sum(beat.people for beat in list(progress.beats.values())),
        notes=[],
        sent_bytes=0,
        memory_bytes=sum(beat.memory_bytes for beat in list(progress.beats.values())),
    )
    ended = [Ended(each.end, progress.counts(each.end.source)) for each in list(progress.ended.values())]
    return Look(list(progress.notes), list(progress.began.values()), ended, beat)


@contextmanager
def _writing(specs: Sequence[SourceSpec]) -> Iterator[None]:
    """Be the only one who writes into the folders: a runner that was given up may still be at it.

    Raises:
        OutputError: another goes on for too long.
    """
    with ExitStack() as held:
        for spec in specs:
            held.enter_context(_lone_writer(Path(spec.folder)))
        yield


@contextmanager
def _lone_writer(folder: Path) -> Iterator[None]:
    path = folder / WRITER
    until_s = time.monotonic() + _WRITER_S
    with writing(folder):
        while (descriptor := _locked(path)) is None:
            if time.monotonic() > until_s:
                raise OutputError(f"output {folder} is still being written by a runner that was given up")
            time.sleep(0.1)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int | None:
    try:
        return lock(path)
    except BlockingIOError:
        return None
