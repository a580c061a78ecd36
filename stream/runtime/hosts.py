"""Where a group of stages runs: a process of its own or a thread of this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import psutil

from stream.runtime.worker import IGNORED, Orders


class Host(Protocol):
    """A running group."""

    def alive(self) -> bool:
        """Whether it still runs."""

    def exit_reason(self) -> str:
        """How it ended, for people; call when it is no longer alive."""

    def cpu_s(self) -> float | None:
        """Processor time that it has used; None if that is not known of it alone."""

    def wants_cpu(self) -> bool:
        """Whether it would work if it got a processor, as beside many other programs; False where that is not known."""

    def dump_stacks(self) -> None:
        """Let it print where it stands on standard error."""

    def kill(self) -> None:
        """End it at once, if that can be done."""

    def join(self) -> None:
        """Wait until it has ended."""


class Process:
    """A group in a process of its own."""

    def __init__(self, orders: Orders, fds: Sequence[int]) -> None:
        """Start it; `fds` are the file descriptors that it inherits."""
        # It inherits what is blocked here: Ctrl-C reaches the whole terminal, also who is not yet ready to ignore it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        # Not by standard input, which may be a source; who does not read it must not take anything from it.
        reads, writes = os.pipe()
        has_stdin = any(source.uri == "-" for source in orders.group.sources)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "stream.runtime.worker", str(reads)],
                stdin=None if has_stdin else subprocess.DEVNULL,
                stdout=_standard_error(),  # standard output is the summary's alone
                pass_fds=(*fds, reads),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(reads)
        with open(writes, "wb") as pipe:
            pipe.write(msgspec.json.encode(orders))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def exit_reason(self) -> str:
        """How it ended."""
        code = self._popen.poll() or 0
        if code == -signal.SIGKILL:
            return "was killed by SIGKILL: most likely the memory is used up; try a smaller --imgsz or fewer sources"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"left with exit code {code}"

    def cpu_s(self) -> float | None:
        """Processor time that it and its children have used; None once it is gone."""
        try:
            times = psutil.Process(self._popen.pid).cpu_times()
        except psutil.Error:
            return None
        return float(times.user + times.system + times.children_user + times.children_system)

    def wants_cpu(self) -> bool:
        """Whether its main thread can run."""
        try:
            return bool(psutil.Process(self._popen.pid).status() == psutil.STATUS_RUNNING)
        except psutil.Error:
            return False

    def dump_stacks(self) -> None:
        """Let it print its stacks on standard error."""
        self._popen.send_signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()

    def join(self) -> None:
        """Wait until it has ended."""
        self._popen.wait()


def _standard_error() -> int:
    try:
        os.fstat(2)
    except OSError:  # closed
        return subprocess.DEVNULL
    return 2


class Thread:
    """A group in a thread of this process. It cannot be killed, only told to end."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        """Start it."""
        self._thread = threading.Thread(target=work, name=name, daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def exit_reason(self) -> str:
        """How it ended."""
        return "left without a word"

    def cpu_s(self) -> float | None:
        """None: threads share the time of their process."""
        return None

    def wants_cpu(self) -> bool:
        """False: threads are not looked at one by one."""
        return False

    def dump_stacks(self) -> None:
        """Print nothing: a debugger of this process shows its threads."""

    def kill(self) -> None:
        """Leave it: it ends with this process."""

    def join(self) -> None:
        """Wait a moment; a thread that hangs is left behind."""
        self._thread.join(timeout=1.0)
