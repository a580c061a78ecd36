"""A process beside the pipeline that is shown frames: it may block, hang or crash, and no stage waits for it.

PyAV holds the interpreter's lock while it connects, and a window's library may end its process: neither may happen in a
stage's own process. Frames go by a pipe, one at a time when the other end asks: while it is busy a newer frame replaces
the one that waits.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import Struct as Layout
from threading import Condition, Thread
from typing import IO

import msgspec
import numpy as np
from msgspec import Struct, structs

from stream.messages import Begin, End, Frame, Pixels, Status
from stream.sources.mailbox import Mailbox

_LENGTHS = Layout("<II")  # of what comes next: a message, and a picture
_PIPE_BYTES = 1 << 20  # the most that Linux allows without leave
_LEAVE_S = 2.0  # a process that has not asked for the last frames, or not ended, is left to itself, then killed

Shown = Begin | Frame | Status | End
"""What a side process is told."""


class Said(Struct, frozen=True, omit_defaults=True):
    """What a side process says."""

    ready: bool = False
    """It takes the next message."""
    note: str = ""
    """A line for the user."""
    lost: int = 0
    """Frames that it was given and could not use."""
    quit: bool = False
    """The user wants the run to end."""


class SideProcess:
    """The pipeline's end."""

    def __init__(self, module: str, orders: bytes, hear: Callable[[Said], None]) -> None:
        """Start it.

        Args:
            module: what `python -m` runs.
            orders: handed to it first; not in the command line, which everybody can read.
            hear: called by a thread with what it says, `ready` excepted.
        """
        self._changed = Condition()
        self._mailboxes: dict[str, Mailbox[Frame]] = {}
        self._told = deque[Shown]()
        self._hear = hear
        self._ready = self._ending = self._gone = False
        self._asked_s = time.monotonic()
        self._turn = 0
        self.lost = 0
        """Frames that it was given and could not use."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the run, which ends it in order
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with suppress(OSError):
            fcntl.fcntl(self._popen.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._threads = [
            Thread(target=self._write, args=[self._popen.stdin, orders], name="side-write", daemon=True),
            Thread(target=self._read, args=[self._popen.stdout], name="side-read", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, frame: Frame) -> None:
        """Leave a frame; one of the same source that was not asked for yet is left out."""
        with self._changed:
            self._mailboxes.setdefault(frame.source, Mailbox(self._changed)).put(frame)

    def tell(self, message: Begin | Status | End) -> None:
        """Leave what must not be left out."""
        with self._changed:
            self._told.append(message)
            self._changed.notify_all()

    def left_out(self, source: str) -> int:
        """Frames of a source that were offered and not asked for."""
        mailbox = self._mailboxes.get(source)
        return sum(mailbox.dropped.values()) if mailbox else 0

    def end(self) -> None:
        """Nothing more comes: what lies ready is still handed over. Does not wait."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    @property
    def is_gone(self) -> bool:
        """Whether it has ended."""
        return self._gone

    @property
    def busy_s(self) -> float:
        """How long it has been busy with what it was given last; 0 while it waits for more."""
        with self._changed:
            return 0.0 if self._ready else time.monotonic() - self._asked_s

    def join(self) -> None:
        """Wait for a moment until it has ended after `end`, then end it."""
        try:
            self._popen.wait(_LEAVE_S + 0.5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()
        for thread in self._threads:
            thread.join(_LEAVE_S)

    def _write(self, pipe: IO[bytes], orders: bytes) -> None:
        with suppress(OSError), pipe:  # it has ended
            pipe.write(_LENGTHS.pack(len(orders), 0) + orders)
            pipe.flush()
            while (message := self._next()) is not None:
                picture = message.pixels.array if isinstance(message, Frame) and message.pixels else None
                if isinstance(message, Frame):
                    message = structs.replace(message, pixels=None)
                header = msgspec.msgpack.encode(message)
                pipe.write(_LENGTHS.pack(len(header), 0 if picture is None else picture.nbytes) + header)
                if picture is not None:
                    pipe.write(np.ascontiguousarray(picture).data)
                pipe.flush()

    def _next(self) -> Shown | None:
        """What it is to be given, once it asks; None: no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone or self._ending or (self._ready and self._has_any()))
            if self._ending:
                self._changed.wait_for(lambda: self._gone or self._ready, _LEAVE_S)
            if self._gone or not self._ready or not self._has_any():
                return None
            self._ready, self._asked_s = False, time.monotonic()
            if self._told:
                return self._told.popleft()
            return self._newest()

    def _has_any(self) -> bool:
        return bool(self._told) or any(mailbox.ready for mailbox in self._mailboxes.values())

    def _newest(self) -> Frame | None:
        """The frame of the source whose turn it is."""
        mailboxes = list(self._mailboxes.values())
        for _ in mailboxes:
            self._turn = (self._turn + 1) % len(mailboxes)
            if (taken := mailboxes[self._turn].take(0)) is not None:
                return taken[0]
        return None

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                said = msgspec.json.decode(line, type=Said)
                with self._changed:
                    self.lost += said.lost
                    self._ready = self._ready or said.ready
                    self._changed.notify_all()
                if said.note or said.quit:
                    self._hear(said)
        with self._changed:
            self._gone = True
            self._changed.notify_all()


class Parent:
    """The side process's end: standard input and output."""

    def __init__(self) -> None:
        """Read the orders."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._in = os.fdopen(os.dup(0), "rb")
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # what a library prints must not be taken for what is said
        self._decoder = msgspec.msgpack.Decoder(Shown)
        self.orders = self._part(self._lengths()[0])

    def say(self, said: Said) -> None:
        """Say something; nothing if nobody is there any more."""
        with suppress(OSError):
            self._out.write(msgspec.json.encode(said) + b"\n")
            self._out.flush()

    def ask(self) -> None:
        """Ask for the next message."""
        self.say(Said(ready=True))

    def has_come(self, wait_s: float) -> bool:
        """Whether `take` would not block: a message that was asked for is there, or there will be none any more."""
        return bool(select.select([self._in], [], [], wait_s)[0])

    def take(self) -> Shown | None:
        """The message that was asked for; None: there will be none any more. A frame comes with its pixels."""
        try:
            header, picture = self._lengths()
            message: Shown = self._decoder.decode(self._part(header))
            if isinstance(message, Frame):
                array = np.frombuffer(self._part(picture), np.uint8).reshape(message.height, message.width, 3)
                message = structs.replace(message, pixels=Pixels(array))
            return message
        except EOFError:
            return None

    def messages(self) -> Iterator[Shown]:
        """All messages, each asked for when the one before is done with."""
        self.ask()
        while (message := self.take()) is not None:
            yield message
            self.ask()

    def _lengths(self) -> tuple[int, int]:
        header, picture = _LENGTHS.unpack(self._part(_LENGTHS.size))
        return header, picture

    def _part(self, size: int) -> bytes:
        data = self._in.read(size)
        if len(data) < size:
            raise EOFError
        return data
