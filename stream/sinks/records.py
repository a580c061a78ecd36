"""The sink that writes keypoints.jsonl, a line a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from stream.messages import Begin, Drop, End, Message, Tracks
from stream.records import Recorder
from stream.sinks.output import finish, part_of, writing
from stream.stage import Stage


class RecordsSink(Stage):
    """Tracks and drops in and on; `keypoints.jsonl` in each source's folder.

    It is written as `keypoints.jsonl.part`, line by line, and takes its name when the source has ended; what
    an error cuts off keeps that other name.
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
            case End():
                self._finish(message.source)
        yield message

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
        self._recorder = Recorder(begin.live)
        with writing(self.path):
            self._file: IO[bytes] = part_of(self.path).open("ab" if begin.again else "wb")

    def write(self, tracks: Tracks, encoder: msgspec.json.Encoder) -> None:
        """Add a frame's line."""
        record = self._recorder.record(tracks)
        with writing(self.path):
            self._file.write(encoder.encode(record) + b"\n")
            self._file.flush()  # a kill costs at most the last line

    def drop(self, drop: Drop) -> None:
        """Take note of a frame that gets no line."""
        self._recorder.drop(drop)

    def close(self) -> None:
        """Close the file; it keeps its name for parts."""
        with writing(self.path):
            self._file.close()
