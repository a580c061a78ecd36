"""One connection to a live source: a thread opens and decodes, so that whatever blocks can be given up."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from fractions import Fraction
from queue import Empty, Full, Queue
from threading import Thread
from typing import NamedTuple

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stream.sources.clock import frame_rate
from stream.sources.container import stored_aspect
from stream.sources.timestamps import Timestamps

_ERRORS_MAX = 1000  # in a row, without a frame in between
_TICK_S = 0.1


Opener = Callable[[Callable[[], bool]], InputContainer]
"""Connects, and raises Disconnected or an av.FFmpegError; it is given what to ask whether it was given up."""


class Disconnected(Exception):
    """Why there is no connection any more, one line without the address."""

    def __init__(self, why: str, lasting: bool = False, denied: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting or denied
        """True if it is a mistake, unless the source worked before: a wrong password or path, no video."""
        self.denied = denied
        """True if user or password are wrong: asking often locks accounts."""


class Kind(NamedTuple):
    """What a connection gives, known once it is open."""

    fps: float | None
    """Average frame rate; None if unknown."""
    has_clock: bool
    """False: pictures have no times but those at which they came."""
    in_bursts: bool
    """True if pictures come faster than they are shown: they lie ready on a server."""
    recorded: bool
    """True if it has an end that is known."""
    aspect: tuple[int, int]
    """Width to height of a stored pixel."""
    codec: str


class Taken(NamedTuple):
    """A picture and when it was decoded."""

    picture: VideoFrame
    time_base: Fraction | None
    captured_ns: int
    """On the monotonic clock."""
    wall_ns: int
    lost: int
    """Packets just before it that could not be decoded."""


class Connection(Thread):
    """Reads one connection until it ends or is closed. Pictures wait for their taker: none is lost here."""

    kind: Kind
    """Set before the first picture is given."""

    def __init__(self, opened: Opener, pixels_max: int, patience_s: float) -> None:
        """Not yet begun; see `start`.

        Args:
            opened: connects.
            pixels_max: larger pictures are not decoded.
            patience_s: time limit that `opened` keeps.
        """
        super().__init__(name="connection", daemon=True)
        self._opened, self._pixels_max, self._patience_s = opened, pixels_max, patience_s
        self._pictures: Queue[Taken | Disconnected | BaseException] = Queue(1)
        self._closed = False
        self.heard_s: float | None = None
        """When the last packet came, on the monotonic clock; None: not connected yet."""

    def run(self) -> None:
        started_s = time.monotonic()
        try:
            with self._opened(lambda: self._closed) as container:
                stream = _video(container, self._pixels_max)
                stream.codec_context.options = _decoding(stream, self._pixels_max)
                stream.thread_count = 1  # several threads hide damage (slices), or give each picture late (frames)
                stream.codec_context.flags |= Flags.low_delay
                self.kind = _kind(container, stream)
                self.heard_s = time.monotonic()
                self._read(container, stream)
            end: BaseException = Disconnected("the stream ended")
        except av.FFmpegError as error:
            end = _without_address(error, time.monotonic() - started_s >= self._patience_s)
        except BaseException as error:
            end = error
        self._put(end)

    def take(self) -> Taken | None:
        """The next picture; None if there was none for a tick of 0.1 s.

        Raises:
            Disconnected: there will be none.
        """
        try:
            taken = self._pictures.get(timeout=_TICK_S)
        except Empty:
            return None
        if isinstance(taken, BaseException):
            raise taken
        return taken

    def close(self) -> None:
        """Give the connection up; what blocks its thread is waited for no longer than a tick."""
        self._closed = True
        self.join(_TICK_S)

    def _read(self, container: InputContainer, stream: VideoStream) -> None:
        errors = 0
        packets = container.demux(stream)
        while not self._closed:
            try:
                if (packet := next(packets, None)) is None:
                    return
                self.heard_s = time.monotonic()
                pictures = packet.decode()
            except av.InvalidDataError:
                errors += 1
                if errors > _ERRORS_MAX:
                    raise
                packets = container.demux(stream)  # an error has ended the old one
                continue
            now = time.monotonic_ns(), time.time_ns()
            for picture in pictures:
                self._put(Taken(picture, stream.time_base, *now, errors))
                errors = 0

    def _put(self, item: Taken | BaseException) -> None:
        while not self._closed:
            try:
                self._pictures.put(item, timeout=_TICK_S)
                return
            except Full:
                continue


def _video(container: InputContainer, pixels_max: int) -> VideoStream:
    """The stream to read: the best of several qualities."""
    videos = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    if not videos:
        raise Disconnected("holds no video", lasting=True)
    best = container.streams.best("video")
    stream = next((video for video in videos if video is best), videos[0])
    if stream.codec_context is None:
        raise Disconnected("no decoder for its video codec", lasting=True)
    if (pixels := stream.width * stream.height) > pixels_max:
        raise Disconnected(f"pictures of {pixels} pixels; frame_pixels_max allows {pixels_max}", lasting=True)
    return stream


def _decoding(stream: VideoStream, pixels_max: int) -> dict[str, str]:
    """Options of the decoder. That of MJPEG flags no damage: what is broken is refused instead."""
    strict = {"err_detect": "explode"} if stream.codec_context.name == "mjpeg" else {}
    return {"max_pixels": str(pixels_max), **strict}


def _kind(container: InputContainer, stream: VideoStream) -> Kind:
    name = container.format.name
    has_clock = Timestamps(container, stream).known
    recorded = name.startswith(("hls", "mov", "matroska")) and bool(container.duration)
    return Kind(
        fps=frame_rate(stream.average_rate, stream.guessed_rate) if has_clock else None,
        has_clock=has_clock,
        in_bursts=recorded or name.startswith("hls"),
        recorded=recorded,
        aspect=stored_aspect(container, stream),
        codec=stream.codec_context.name,
    )


def _without_address(error: av.FFmpegError, late: bool) -> Disconnected:
    """What FFmpeg says, without the address that its text holds.

    Args:
        error: what it says.
        late: whether that came only at the time limit, at which it says "invalid data" too.
    """
    if isinstance(error, av.HTTPUnauthorizedError):
        return Disconnected("wrong user or password (401)", denied=True)
    if isinstance(error, av.HTTPForbiddenError):
        return Disconnected("access is forbidden (403); check user and password", denied=True)
    if isinstance(error, av.HTTPNotFoundError):
        return Disconnected("no such stream on the server (404); check the path", lasting=True)
    if isinstance(error, av.HTTPClientError):
        return Disconnected("the server refuses the request; check the address", lasting=True)
    if isinstance(error, av.ProtocolNotFoundError):
        return Disconnected("FFmpeg as installed here does not read such addresses", lasting=True)
    if isinstance(error, av.InvalidDataError | av.ArgumentError) and not late:
        return Disconnected("not a video that can be read", lasting=True)
    if isinstance(error, av.InvalidDataError | av.error.ExitError | av.error.TimeoutError):
        return Disconnected("no answer")
    if isinstance(error, av.EOFError):
        return Disconnected("the stream ended")
    if error.errno == errno.EIO:
        return Disconnected("the connection broke")
    return Disconnected((error.strerror or os.strerror(error.errno or 0)).lower())
