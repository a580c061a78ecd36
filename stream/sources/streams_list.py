"""A list of sources in a file, one a line."""

from __future__ import annotations

import os
import re

from configs.errors import ConfigError, SourceError
from stream.address import printable


def named_source(line: str) -> tuple[str, str]:
    """Name and source of NAME=SOURCE; the name is empty where none is given."""
    named = re.fullmatch(r"([\w .-]+?)\s*=\s*(\S.*)", line)
    return (named[1], named[2]) if named else ("", line)


def read_streams(path: str) -> list[tuple[str, str]]:
    """Name and source of each line of a .streams file; the name is empty where none is given.

    A line is a source as `--source` takes it, or `name=source`; empty lines and those that begin with # are left out.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: it is empty, or holds another list.
    """
    label = printable(path)
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise SourceError(f"{label}: cannot be read: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise SourceError(f"{label}: not a text of UTF-8") from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, source = named_source(line)
        if source.endswith(".streams"):
            raise ConfigError(f"{label}: line {number} names another list; give its sources instead")
        found.append((name, source))
    if not found:
        raise ConfigError(f"{label}: names no source")
    return found
