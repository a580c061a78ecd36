"""Reading a pipe so that it can be given up: FFmpeg alone would wait for its writer for ever."""

from __future__ import annotations

import os
import select
from collections.abc import Callable

import av
from av.container import InputContainer

from stream.sources.connection import Disconnected
from stream.sources.network import STREAMED

_TICK_S = 0.1
STDIN = "-"


def open_pipe(path: str, pixels_max: int, given_up: Callable[[], bool]) -> InputContainer:
    """Open a named pipe or, named "-", the standard input, and read until the format of its video is known.

    Args:
        path: of the pipe.
        pixels_max: larger pictures are not decoded.
        given_up: asked while the pipe is empty; once it is true, the pipe has ended.

    Raises:
        Disconnected: it cannot be opened.
        av.FFmpegError: it holds no video.
    """
    options = {"protocol_whitelist": "pipe", "format_whitelist": STREAMED, "max_pixels": str(pixels_max)}
    try:
        pipe = _Pipe(os.dup(0) if path == STDIN else os.open(path, os.O_RDONLY | os.O_NONBLOCK), given_up)
    except OSError as error:
        raise Disconnected(f"cannot be opened: {error.strerror}", lasting=True) from None
    try:
        return av.open(pipe, "r", options=options, metadata_errors="ignore")
    except BaseException:
        pipe.close()
        raise


class _Pipe:
    """A file object for PyAV over a descriptor; the descriptor is its own."""

    name = "pipe"

    def __init__(self, fd: int, given_up: Callable[[], bool]) -> None:
        self._fd = fd
        self._given_up = given_up

    def read(self, size: int) -> bytes:
        """The next bytes, as many as there are; empty: its writers have closed it, or it was given up."""
        data = self._next(size) if self._fd >= 0 else b""
        if not data:
            self.close()  # PyAV does so late, and a pipe that is open here lets its next writer write to nobody
        return data

    def close(self) -> None:
        """Close the descriptor; PyAV does so in the end."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _next(self, size: int) -> bytes:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while not self._given_up():
            if poll.poll(_TICK_S * 1000):
                try:
                    return os.read(self._fd, size)
                except BlockingIOError:
                    continue
        return b""
