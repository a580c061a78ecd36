"""A long recording in parts: how it is cut, and how people are found in one of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import structs

from configs.schema import Settings
from engines.ops.skeleton import Skeleton
from stream.distributed.found import folder_of, path_of
from stream.distributed.tasks import Outcome, Part, Plan
from stream.job import job_of
from stream.message_file import MessageWriter
from stream.messages import End, Message, Poses
from stream.runtime.worker import load_factory
from stream.sinks.output import sync, writing
from stream.sources.ranges import frame_ranges
from stream.unfinished import write_job


def plan(task: Plan, settings: Settings) -> tuple[Part, ...]:
    """The parts of a recording, those that an earlier run has planned; none: it cannot be cut.

    Raises:
        SourceError: it cannot be opened.
        OutputError: the disk refuses.
    """
    spec = task.spec
    path = folder_of(spec.folder) / "plan"
    if path.exists():
        return msgspec.msgpack.decode(path.read_bytes(), type=tuple[Part, ...])
    ranges = frame_ranges(spec, settings.decode, settings.runtime.cut_every, task.parts)
    states = [{"decode": each.state} if each.state else {} for each in ranges]
    ends_s = [each.end_s for each in ranges]
    parts = tuple(
        Part(structs.replace(spec, states=state, end_s=end_s), each)
        for each, state, end_s in zip(ranges, states, ends_s, strict=True)
    )
    if len(parts) > 1:
        write_job(Path(spec.folder), job_of(spec, settings))
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        with _whole(path) as part:
            part.write_bytes(msgspec.msgpack.encode(parts))
    return parts if len(parts) > 1 else ()


class PartFinder:
    """Finds the people in parts of recordings; the network stays loaded."""

    def __init__(self, settings: Settings, factory: str) -> None:
        """Load the network.

        Raises:
            EngineError: it cannot be loaded.
        """
        threads = settings.engine.threads or max(1, int(settings.cluster.cpus))
        engine = settings.engine.model_copy(update={"threads": threads})
        self._settings, self._stages = settings, load_factory(factory)
        self._infer = self._stages.stage("infer", settings.model_copy(update={"engine": engine}))

    def find(self, part: Part, stop: Callable[[], bool]) -> Outcome:
        """Write what was found, unless it is there; with why it does not fit the plan, if it does not.

        Raises:
            OutputError: the disk refuses.
        """
        path = path_of(part.spec.folder, part.frames.first)
        if path.exists():
            return Outcome()
        with _whole(path) as file:
            writer = MessageWriter(file, Skeleton(self._settings.skeleton).names)
            try:
                unfit = self._write(part, writer, stop)
            finally:
                writer.close()
            if stop() or unfit:
                file.unlink()
        return Outcome(unfit="" if stop() else unfit)

    def _write(self, part: Part, writer: MessageWriter, stop: Callable[[], bool]) -> str:
        """Why what was read does not fit; empty: it does."""
        due = part.frames.first
        unfit = ""
        for message in self._poses(part, stop):
            if isinstance(message, Poses):
                unfit = unfit or f"frame {message.frame.index} comes where {due} is due" * (message.frame.index != due)
                due += 1
                writer.write(message)
            elif isinstance(message, End):
                unfit = (
                    unfit or message.problem or f"{message.damaged} of its parts are damaged" * bool(message.damaged)
                )
        missing = part.frames.first + part.frames.frames - due
        return unfit or f"{missing} frames from frame {part.frames.first} on cannot be decoded" * bool(missing)

    def _poses(self, part: Part, stop: Callable[[], bool]) -> Iterator[Message]:
        for message in self._stages.source([part.spec], self._settings, stop, tuple):
            yield from self._infer.process(message)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name under which to write a file, which then takes its own, whoever else writes the same one.

    Raises:
        OutputError: the disk refuses.
    """
    part = path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    with writing(path):
        part.unlink(missing_ok=True)
        yield part
        if part.exists():
            sync(part)
            part.replace(path)
