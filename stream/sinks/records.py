"""The sink that writes keypoints.jsonl, a line a frame."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from configs.errors import OutputError
from stream.arrays import pack, unpack
from stream.messages import Begin, Cut, Drop, End, Message, Tracks
from stream.records import Recorder
from stream.sinks.output import finish, part_of, writing
from stream.stage import Stage


class _State(Struct, frozen=True):
    """How far a file is committed."""

    size: int = 0
    """Bytes of it."""
    last: int = 0
    """How many of them came with the last commit."""
    crc: int = 0
    """CRC-32 of these."""


class RecordsSink(Stage):
    """Tracks and drops in and on; `keypoints.jsonl` in each source's folder.

    It is written as `keypoints.jsonl.part`, line by line, and takes its name when the source has ended; what
    an error cuts off keeps that other name. At each cut of a recording all lines before it are committed; a run that
    goes on from there takes back what came after.
    """

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._open: dict[str, _Open] = {}

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                self._open[message.spec.name] = _Open(message)
            case Tracks():
                self._open[message.frame.source].write(message, self._encoder)
            case Drop():
                self._open[message.frame.source].drop(message)
            case Cut():
                self._open[message.source].commit()
            case End():
                self._finish(message.source)
        yield message

    def snapshot(self, source: str) -> bytes:
        return self._open[source].state()

    def restore(self, source: str, state: bytes) -> None:
        self._open[source].restore(state)

    def flush(self) -> Iterable[Message]:
        for source in list(self._open):
            self._finish(source)
        return ()

    def close(self) -> None:
        for each in self._open.values():
            each.close()

    def _finish(self, source: str) -> None:
        if source in self._open:  # else it was never opened
            each = self._open.pop(source)
            each.close()
            finish(each.path)


class _Open:
    """The records of one source under way."""

    def __init__(self, begin: Begin) -> None:
        self.path = Path(begin.spec.folder) / "keypoints.jsonl"
        self._live, self._recorder = begin.live, Recorder(begin.live)
        self._committed, self._crc = _State(), 0
        part = part_of(self.path)
        with writing(self.path):
            if begin.spec.states and not begin.live and not part.exists():
                self.path.replace(part)  # the run before has ended, but not with the source's end
            self._file: IO[bytes] = part.open("ab" if begin.again or begin.spec.states else "wb")

    def write(self, tracks: Tracks, encoder: msgspec.json.Encoder) -> None:
        """Add a frame's line."""
        record = self._recorder.record(tracks)
        with writing(self.path):
            line = encoder.encode(record) + b"\n"
            self._crc = zlib.crc32(line, self._crc)
            self._file.write(line)
            self._file.flush()  # a kill costs at most the last line

    def drop(self, drop: Drop) -> None:
        """Take note of a frame that gets no line."""
        self._recorder.drop(drop)

    def commit(self) -> None:
        """Make all lines so far safe against power loss, unless the source is live."""
        if self._live:
            return
        with writing(self.path):
            os.fsync(self._file.fileno())
            size = os.fstat(self._file.fileno()).st_size
        self._committed, self._crc = _State(size, size - self._committed.size, self._crc), 0

    def state(self) -> bytes:
        """How far it is committed; empty for a live source, which goes on with what is there."""
        return b"" if self._live else pack(self._committed)

    def restore(self, state: bytes) -> None:
        """Take back what came after a commit.

        Raises:
            OutputError: what was committed is not there any more.
        """
        was = self._committed = unpack(state, _State)
        part = part_of(self.path)
        with writing(self.path):
            with part.open("rb") as file:
                file.seek(was.size - was.last)
                if zlib.crc32(file.read(was.last)) != was.crc:
                    raise OutputError(f"{part} was changed since, so the run cannot go on; --overwrite begins anew")
            self._file.truncate(was.size)

    def close(self) -> None:
        """Close the file; it keeps its name for parts."""
        with writing(self.path):
            self._file.close()
