"""What `--source` may name besides files: a camera, a network address, a pipe."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Literal, NamedTuple

from configs.errors import SourceError
from stream.address import label_of, printable, uri_of
from stream.sources.url import Url

_PROTOCOLS = r"(async|cache|concatf?|crypto|data|fd|pipe|subfile|unix):"
"""FFmpeg's, that name local files or wrap other addresses."""


class Found(NamedTuple):
    """A source, before its name is made unique."""

    kind: Literal["file", "images", "camera", "stream", "pipe"]
    uri: str
    name: str
    start_s: float | None = None
    end_s: float | None = None


def live_found(source: str, allow_pipe: bool) -> Found | None:
    """The live source that is meant; None if it is a file, a folder or a glob.

    `0` and `/dev/video0` are cameras, `-` is the standard input, `scheme://host/path` a network address.

    Args:
        source: as typed.
        allow_pipe: a path may be a named pipe.

    Raises:
        SourceError: an address that is not read.
    """
    if source == "-":
        return Found("pipe", "-", "stdin")
    if source.startswith("/dev/video"):
        return Found("camera", uri_of(source), printable(Path(source).name))
    path = os.path.expanduser(source)
    if os.path.lexists(path):
        is_pipe = allow_pipe and os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)
        return Found("pipe", uri_of(path), printable(Path(path).stem)) if is_pipe else None
    if source.isdecimal():
        return Found("camera", str(int(source)), f"camera-{int(source)}")
    if re.match(_PROTOCOLS, source):
        raise SourceError(f"{label_of(source)}: FFmpeg's protocols are not read; give the files themselves")
    if not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", source) or source.startswith("file:"):
        return None
    return Found("stream", source, printable(Url(source).host))
