"""The sink that writes keypoints.jsonl, a line a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import msgspec

from stream.messages import Begin, End, Message, Tracks
from stream.records import record_of
from stream.sinks.output import finish, part_of, writing
from stream.stage import Stage


class RecordsSink(Stage):
    """Tracks in and on; `keypoints.jsonl` in each source's folder.

    It is written as `keypoints.jsonl.part`, line by line, and takes its name when the source has ended; what
    an error cuts off keeps that other name.
    """

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._files: dict[str, tuple[Path, IO[bytes]]] = {}

    def process(self, message: Message) -> Iterator[Message]:
        self._take(message)
        yield message

    def _take(self, message: Message) -> None:
        match message:
            case Begin():
                path = Path(message.spec.folder) / "keypoints.jsonl"
                with writing(path):
                    self._files[message.spec.name] = path, part_of(path).open("wb")
            case Tracks():
                path, file = self._files[message.frame.source]
                with writing(path):
                    file.write(self._encoder.encode(record_of(message)) + b"\n")
                    file.flush()  # a kill costs at most the last line
            case End():
                self._finish(message.source)

    def flush(self) -> Iterable[Message]:
        for source in list(self._files):
            self._finish(source)
        return ()

    def close(self) -> None:
        for path, file in self._files.values():
            with writing(path):
                file.close()

    def _finish(self, source: str) -> None:
        if source not in self._files:  # it was never opened
            return
        path, file = self._files.pop(source)
        with writing(path):
            file.close()
        finish(path)
