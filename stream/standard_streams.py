"""Standard output and error to which writing never fails: whoever reads them may be gone, the run goes on."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


class _Unfailing(io.FileIO):
    def write(self, data, /) -> int:  # type: ignore[no-untyped-def]
        try:
            return super().write(data)
        except OSError:  # a closed pipe, a full disk
            return len(data)


def make_unfailing() -> None:
    """Replace sys.stdout and sys.stderr; a closed descriptor of 0 to 2 becomes the null device.

    Else the next file that is opened would get that number, and what a library writes to standard error.
    Characters that the terminal's encoding lacks are escaped.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
    sys.stdout, sys.stderr = _text(1, sys.stdout), _text(2, sys.stderr)


def _text(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:  # None: it was closed at the start
    raw = _Unfailing(descriptor, "w", closefd=False)
    encoding = before.encoding if before else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=descriptor == 2 or raw.isatty()
    )
