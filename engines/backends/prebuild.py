"""TensorRT's engines built in a process of its own, while another backend serves.

They take minutes, and the builder may crash or run out of memory: then nothing happens but that they are not there.
This run stays with the backend it began with, so its results do not change on the way; the next one finds them.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1

Command = Callable[[tuple[int, int]], list[str]]
"""From height and width of the network's pictures to the command that builds for them."""


class Prebuild:
    """At most one builder at a time; it ends with this object."""

    def __init__(self, command: Command, log: Path) -> None:
        """Start nothing yet.

        Args:
            command: what builds.
            log: where it writes what it says.
        """
        self._command, self._log = command, log
        self._asked: set[tuple[int, int]] = set()
        self._builder: subprocess.Popen[bytes] | None = None

    def want(self, image_hw: tuple[int, int]) -> None:
        """Begin to build for pictures of this size, unless that was begun before or another is being built."""
        busy = self._builder is not None and self._builder.poll() is None
        if busy or image_hw in self._asked:
            return
        self._asked.add(image_hw)
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                # The stages of this run need the cores more.
                self._builder = subprocess.Popen(
                    self._command(image_hw),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_below,
                )
        except OSError:
            return  # a full disk or no memory: this run needs neither the builder nor its log
        weakref.finalize(self, _end, self._builder)


def _below() -> None:
    """Said of the builder before it begins: others come first, and it dies with who wanted it, however that dies."""
    os.nice(19)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(builder: subprocess.Popen[bytes]) -> None:
    builder.kill()
    builder.wait()
