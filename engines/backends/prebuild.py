"""TensorRT's engines built in a process of its own, while another backend serves.

They take minutes, and the builder may crash or run out of memory: then nothing happens but that they are not there.
This run stays with the backend it began with, so its results do not change on the way; the next one finds them.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

from configs.errors import EngineError

_PR_SET_PDEATHSIG = 1
_LOWEST_PRIORITY = 19


class Prebuild:
    """At most one builder at a time; it ends with this object."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        """Start nothing yet.

        Args:
            module: what builds: `python -m MODULE ARGUMENTS --imgsz HxW`, and with `--child-of PID` it is to `die_with`
                that process.
            arguments: what it is told of the network.
            log: where it writes what it says, when nobody waits for it.
        """
        self._module, self._arguments, self._log = module, tuple(arguments), log
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
                self._builder = self._start(image_hw, log.fileno())
            weakref.finalize(self, _end, self._builder)
            # The stages of this run need the cores more.
            os.setpriority(os.PRIO_PROCESS, self._builder.pid, _LOWEST_PRIORITY)
        except OSError:
            return  # a full disk, no memory, or it has ended already: this run needs neither it nor its log

    def now(self, image_hw: tuple[int, int]) -> None:
        """Build for pictures of this size and wait for it. What the builder says is shown on stderr.

        Raises:
            EngineError: it could not be done.
        """
        print(f"building TensorRT's engines, which takes minutes: {self.command(image_hw)}", file=sys.stderr)
        try:
            ended = self._start(image_hw, sys.stderr.fileno()).wait()
        except OSError as error:
            raise EngineError(f"backend tensorrt cannot start the builder of its engines: {error}") from error
        if ended:
            raise EngineError("backend tensorrt has no engines: their builder failed, what it said is above")

    def command(self, image_hw: tuple[int, int]) -> str:
        """Command that a user can type to build the same."""
        return shlex.join(["python", "-m", self._module, *self._arguments, "--imgsz", f"{image_hw[0]}x{image_hw[1]}"])

    def _start(self, image_hw: tuple[int, int], output: int) -> subprocess.Popen[bytes]:
        size = f"{image_hw[0]}x{image_hw[1]}"
        return subprocess.Popen(
            child(self._module, [*self._arguments, "--imgsz", size]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=child_environment(),
        )


def child(module: str, arguments: Sequence[str]) -> list[str]:
    """Command that runs a builder as a child of this process."""
    # -P: a file of the folder that we are called in must not take the place of one of ours.
    return [sys.executable, "-P", "-m", module, "--child-of", str(os.getpid()), *arguments]


def child_environment() -> dict[str, str]:
    """Environment in which a child finds the modules that this process finds."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is gone, however that went. For the builder to call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before the line above
        sys.exit(1)


def _end(builder: subprocess.Popen[bytes]) -> None:
    builder.kill()
    builder.wait()
