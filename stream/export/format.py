"""What a format is: a name, a file, and a function that writes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from configs.errors import OutputError
from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip
from stream.sinks.output import finish, part_of, writing


def fits_all(_: Skeleton) -> None:
    """For formats that hold any skeleton and need no library."""


@dataclass(frozen=True)
class Format:
    """One form that records can be written in."""

    name: str
    """As in `--format`."""
    output: str
    """File, or folder, that it writes beside the records; a folder ends in a slash."""
    write: Callable[[Clip, Path], None]
    """Writes the clip into a file, or into a folder that is there."""
    check: Callable[[Skeleton], None] = fits_all
    """Raises ConfigError where it cannot hold this skeleton, or lacks its library."""

    def export(self, clip: Clip, folder: Path, overwrite: bool) -> Path:
        """Write the clip into `folder`, whole or not at all.

        Raises:
            ConfigError: the format cannot hold the clip's skeleton, or its library is missing.
            OutputError: the disk refuses, or the output is there and is not to be overwritten.
            SourceError: the records cannot be read.
        """
        self.check(clip.skeleton)
        path = folder / self.output
        if path.exists() and not overwrite:
            raise OutputError(f"{path} is there already; name another folder or give --overwrite")
        part = part_of(path)
        try:
            with writing(path):
                if self.output.endswith("/"):
                    _write_folder(clip, self.write, part, path)
                else:
                    folder.mkdir(parents=True, exist_ok=True)
                    self.write(clip, part)
                    finish(path)
        finally:
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        return path


def write_list(file: IO[bytes], items: Iterable[Any]) -> None:
    """Write a JSON array, an item a line, one at a time."""
    encoder = msgspec.json.Encoder()
    file.write(b"[")
    for number, item in enumerate(items):
        file.write((b",\n" if number else b"\n") + encoder.encode(item))
    file.write(b"\n]")


def _write_folder(clip: Clip, write: Callable[[Clip, Path], None], part: Path, path: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write(clip, part)
    if path.exists():
        shutil.rmtree(path)
    part.rename(path)
