"""People that were found in parts of a recording, in files; and the pipeline that reads them instead of a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from configs.errors import EngineError
from configs.schema import Settings
from stream.message_file import MessageFileError, MessageReader
from stream.messages import Begin, End, Frame, Message, Poses
from stream.pipeline import Pipeline
from stream.sinks.output import SEGMENTS
from stream.stage import Stage

FOUND_PIPELINE = "stream.distributed.found:FoundPipeline"


def folder_of(output: str) -> Path:
    """Where the files lie in a recording's output folder."""
    return Path(output) / SEGMENTS / "found"


def path_of(output: str, first: int) -> Path:
    """The file of the part that begins with that frame."""
    return folder_of(output) / f"{first:012}.psm"


class FoundPipeline(Pipeline):
    """posestream's own stages, but that people are read and not looked for."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Found() if name == "infer" else super().stage(name, settings)


class Found(Stage):
    """Frame in, Poses out: the people that lie in the files of the source's folder.

    Raises:
        EngineError: they are not of that frame.
    """

    def __init__(self) -> None:
        self._poses: dict[str, Iterator[Poses]] = {}

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                self._poses[message.spec.name] = _read(message.spec.folder)
                yield message
            case Frame():
                yield self._of(message)
            case End():
                self._poses.pop(message.source, None)
                yield message
            case _:
                yield message

    def _of(self, frame: Frame) -> Poses:
        poses = next((each for each in self._poses[frame.source] if each.frame.index >= frame.index), None)
        if poses is None or (poses.frame.index, poses.frame.pts_ns) != (frame.index, frame.pts_ns):
            raise EngineError(f"nobody has looked for people in frame {frame.index} of {frame.source}")
        return structs.replace(poses, frame=frame)


def _read(output: str) -> Iterator[Poses]:
    for path in sorted(folder_of(output).glob("*.psm")):
        try:
            reader = MessageReader(os.fspath(path))
            try:
                for data in reader.payloads():
                    if isinstance(message := reader.message_of(data), Poses):
                        yield message
            finally:
                reader.close()
        except MessageFileError as error:
            raise EngineError(f"{path}: {error}; remove it and run again") from None
