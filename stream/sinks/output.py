"""An output file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import OutputError, PosestreamError

SEGMENTS = ".segments"
"""In a recording's output folder: what an interrupted run is continued from; gone once the source is done with."""


def part_of(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(path.name + ".part")


def finish(path: Path, lasting: bool = True) -> None:
    """Let the written part take its name.

    Args:
        path: the name.
        lasting: safe against power loss; False: cheaper, for a file that is soon read and deleted.

    Raises:
        OutputError: the disk refuses.
    """
    part = part_of(path)
    with writing(path):
        if lasting:
            sync(part)
        part.replace(path)
        if lasting:
            sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are safe against power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk says against writing into one line.

    Raises:
        OutputError: with that line.
    """
    try:
        yield
    except PosestreamError:  # some are OSErrors too
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path} cannot be written: {reason}; free space or choose another --output") from error
