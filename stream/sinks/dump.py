"""The sink that writes messages down, so that the stages behind it can be run again without video and network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import structs

from configs.errors import OutputError
from configs.outlets import DumpSettings
from engines.ops.skeleton import Skeleton
from stream.address import printable
from stream.message_file import ENDING, MessageFileError, MessageWriter
from stream.messages import Begin, Message, SourceSpec
from stream.sinks.output import writing
from stream.stage import Stage


class Dump(Stage):
    """All messages in and on, and without pictures, addresses and folders into a file.

    A stage that was started again goes on behind what the file holds: `check_dump` begins it.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, settings: DumpSettings, skeleton: Skeleton) -> None:
        self._path = path_of_dump(settings)
        with writing(self._path):
            try:
                self._writer = MessageWriter(self._path, skeleton.names)
            except MessageFileError as error:
                raise OutputError(f"dump {printable(str(self._path))}: {error}; choose another name") from None

    def process(self, message: Message) -> Iterator[Message]:
        told = message
        if isinstance(message, Begin):
            spec = structs.replace(message.spec, uri=message.spec.label, folder="")
            told = structs.replace(message, spec=spec)
        with writing(self._path):
            self._writer.write(told)
        yield message

    def close(self) -> None:
        with writing(self._path):
            self._writer.close()


def path_of_dump(settings: DumpSettings) -> Path:
    """The file."""
    return Path(os.path.expanduser(settings.file or ""))


def check_dump(settings: DumpSettings, specs: list[SourceSpec], overwrite: bool) -> None:
    """Begin the file, empty, before anything is loaded.

    Raises:
        OutputError: it cannot be written, is there already, or is the source; or has another ending.
    """
    path = path_of_dump(settings)
    label = printable(str(path))
    if path.suffix != ENDING:
        raise OutputError(f"dump {label}: the name should end in {ENDING}, by which --source knows it")
    if path.exists() and any(spec.kind == "messages" and os.path.samefile(spec.path, path) for spec in specs):
        raise OutputError(f"dump {label}: is the source; choose another name")
    with writing(path):
        try:
            path.open("wb" if overwrite else "xb").close()
        except FileExistsError:
            raise OutputError(f"dump {label}: is there already; choose another name or give --overwrite") from None
