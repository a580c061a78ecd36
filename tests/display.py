"""An X display without a screen, and keys pressed on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]


@contextmanager
def display() -> Iterator[str]:
    """The name of a display of its own, as :3."""
    reads, writes = os.pipe()
    command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writes], stderr=subprocess.DEVNULL)
    os.close(writes)
    with os.fdopen(reads) as told:
        number = told.readline().strip()
    try:
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def xdotool(where: str, *arguments: str) -> list[str]:
    """What xdotool says, by lines; nothing if it found no window."""
    done = subprocess.run(["xdotool", *arguments], env={**os.environ, "DISPLAY": where}, capture_output=True, text=True)
    return done.stdout.split()
