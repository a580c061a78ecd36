"""A live encoder and the connection it feeds: H.264 that can be decoded as it comes."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from stream.messages import Frame
from stream.sinks.restream_target import Target

_TIME_BASE = Fraction(1, 90_000)
_KEY_NS = 1_000_000_000
_X264 = {
    "preset": "ultrafast",
    "tune": "zerolatency",  # no B frames, no look-ahead: a packet for each picture, at once
    "crf": "23",
    "g": "10000",  # key frames are asked for by time
    "sc_threshold": "0",
    "forced-idr": "1",
}
_THREADS_MAX = 4
_BT709, _BT601 = 1, 5  # of FFmpeg's colour spaces


class SendError(Exception):
    """Why nothing can be sent, one line without the address."""

    def __init__(self, why: str, denied: bool = False) -> None:
        super().__init__(why)
        self.denied = denied
        """True if user or password are wrong."""


def has_protocol(scheme: str) -> bool:
    """Whether FFmpeg as installed here knows a protocol. Nothing is sent."""
    try:
        av.open(f"{scheme}://127.0.0.1:1", timeout=0.1).close()
    except av.ProtocolNotFoundError:
        return False
    except (av.FFmpegError, OSError):
        pass
    return True


class LiveVideo:
    """One connection, for pictures of one size. Times are the frames' own, from 0 on."""

    def __init__(self, target: Target, first: Frame, fps: float) -> None:
        """Connect.

        Raises:
            SendError: that cannot be done.
        """
        self._shape = (first.width, first.height, first.pixel_aspect)
        self._epoch, self._shift_ns = first.epoch, -first.pts_ns
        self._at_ns = self._key_ns = -_KEY_NS  # so that the first picture is a key frame
        self._captured_ns = first.captured_ns
        try:
            if target.playlist:
                Path(target.playlist).parent.mkdir(parents=True, exist_ok=True)
                _delete_segments(Path(target.playlist))
            self._out = av.open(target.url, "w", format=target.format, options=target.options)
            try:
                self._stream = self._add_video(fps)
                self._out.start_encoding()
            except BaseException:
                self.abandon()
                raise
        except (av.FFmpegError, OSError) as error:
            raise _send_error(error) from None

    def takes(self, frame: Frame) -> bool:
        """Whether the frame has the size and pixel shape that this video has."""
        return (frame.width, frame.height, frame.pixel_aspect) == self._shape

    def send(self, frame: Frame) -> None:
        """Encode and send a frame.

        Raises:
            SendError: the connection broke.
        """
        at_ns = self._time_ns(frame)
        try:
            picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame.picture), "rgb24").reformat(
                self._stream.width, self._stream.height, "yuv420p", dst_colorspace=self._space, threads=1
            )
            picture.pts, picture.time_base = round(Fraction(at_ns, 1_000_000_000) / _TIME_BASE), _TIME_BASE
            if at_ns - self._key_ns >= _KEY_NS:
                picture.pict_type, self._key_ns = PictureType.I, at_ns
            self._out.mux(self._stream.encode(picture))
        except (av.FFmpegError, OSError) as error:
            raise _send_error(error) from None

    def finish(self) -> None:
        """Send what is held back and say that this is the end.

        Raises:
            SendError: the connection broke.
        """
        try:
            self._out.mux(self._stream.encode(None))
            self._out.close()
        except (av.FFmpegError, OSError) as error:
            raise _send_error(error) from None

    def abandon(self) -> None:
        """Release what was opened."""
        with suppress(av.FFmpegError, OSError):
            self._out.close()

    def _add_video(self, fps: float) -> VideoStream:
        width, height, aspect = self._shape
        stream = self._out.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=_X264)
        stream.width, stream.height = max(width - width % 2, 2), max(height - height % 2, 2)  # as 4:2:0 needs
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        stream.codec_context.thread_count = min(os.cpu_count() or 1, _THREADS_MAX)
        self._space = _BT709 if height >= 720 else _BT601
        stream.codec_context.colorspace = self._space
        return stream

    def _time_ns(self, frame: Frame) -> int:
        """When the frame is shown; where the source's clock breaks, this machine's tells how much has passed."""
        at_ns = frame.pts_ns + self._shift_ns
        if frame.epoch != self._epoch or at_ns <= self._at_ns:
            at_ns = self._at_ns + max(frame.captured_ns - self._captured_ns, 1_000_000)
            self._shift_ns, self._epoch = at_ns - frame.pts_ns, frame.epoch
        self._at_ns, self._captured_ns = at_ns, frame.captured_ns
        return at_ns


def _delete_segments(playlist: Path) -> None:
    """Delete the segments that a playlist left by an earlier connection names."""
    if not playlist.exists():
        return
    name = re.compile(re.escape(playlist.stem) + r"-[0-9]+\.ts")
    for line in playlist.read_text(errors="replace").splitlines():
        if name.fullmatch(line):
            (playlist.parent / line).unlink(missing_ok=True)


def _send_error(error: av.FFmpegError | OSError) -> SendError:
    """What FFmpeg or the disk says, without the address that its text holds."""
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return SendError("user or password are refused", denied=True)
    if isinstance(error, av.ProtocolNotFoundError):
        return SendError("FFmpeg as installed here does not know the protocol")
    return SendError((error.strerror or os.strerror(error.errno or 0)).lower())
