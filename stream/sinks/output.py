"""An output file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.errors import OutputError, PosestreamError


def part_of(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(path.name + ".part")


def finish(path: Path) -> None:
    """Let the written part take its name, safe against power loss.

    Raises:
        OutputError: the disk refuses.
    """
    part = part_of(path)
    with writing(path):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)


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
