"""A list of sources in a file, one a line."""

from __future__ import annotations

import os
import re

from configs.errors import ConfigError, SourceError
from stream.address import printable
from stream.sources.credentials import check_private

_SECRET = re.compile(r"://[^/]*:.*@|(pass|pwd|token|secret|key|auth|sig)[^=&/;]*=", re.IGNORECASE)
"""A password before the host, or a value whose name says that it is one."""


def named_source(line: str) -> tuple[str, str]:
    """Name and source of NAME=SOURCE; the name is empty where none is given, or none that a folder can have."""
    named = re.fullmatch(r"(?!\.+\s*=)([\w .-]+?)\s*=\s*(\S.*)", line)
    return (named[1], named[2]) if named else ("", line)


def read_streams(path: str) -> list[tuple[str, str]]:
    """Name and source of each line of a .streams file; the name is empty where none is given.

    A line is a source as `--source` takes it, or `name=source`; empty lines and those that begin with # are left out.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: it is empty, or holds another list.
        RefusedError: it holds a password, and others may read it.
    """
    label = printable(path)
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            status, lines = os.fstat(file.fileno()), [line.strip() for line in file]
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
        if _SECRET.search(source):
            check_private(status, f"{label}: line {number} holds a password, and the file", label)
        found.append((name, source))
    if not found:
        raise ConfigError(f"{label}: names no source")
    return found
