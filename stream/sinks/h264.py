"""H.264 by x264: pictures and their times into an open container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct
from numpy.typing import NDArray

from configs.schema import VideoSettings
from stream.messages import Begin, Frame
from stream.sinks.output import writing

TIME_BASE = Fraction(1, 90_000)
_CRF = 23
_RATE_SHARE = 1.2  # of the source's rate: a drawn skeleton costs bits, but not more
_RATE_LEAST = 300_000
_THREADS_MAX = 4
_SIDE_MAX = 16_384  # of a picture that x264 takes, pixels
_FRAME_DURATION = 0x100  # of FFmpeg's codec flags: how long a frame is shown goes with its packet
_BT709, _BT601 = 1, 5  # of FFmpeg's colour spaces


class Shape(Struct, frozen=True):
    """Size and pixel shape of a video."""

    width: int
    height: int
    pixel_aspect: tuple[int, int]

    @classmethod
    def of(cls, first: Frame) -> Shape:
        """That of a video whose first frame is given: sides that are even, as 4:2:0 needs, and not too long."""
        scale = min(_SIDE_MAX / max(first.width, first.height), 1)
        width, height = max(round(first.width * scale), 1), max(round(first.height * scale), 1)
        return cls(width + width % 2, height + height % 2, first.pixel_aspect)


class H264:
    """A stream of an open container."""

    def __init__(
        self,
        out: OutputContainer,
        begin: Begin,
        shape: Shape,
        video: VideoSettings,
        key_every: int | None,
        repeatable: bool,
    ) -> None:
        """Add the stream.

        Args:
            out: gets it.
            begin: says frame rate and bit rate of the source.
            shape: of the video; pictures of another size are letterboxed.
            video: quality and preset.
            key_every: frames between key frames at most; None: as x264 likes.
            repeatable: the same pictures always give the same bytes, if more slowly.
        """
        self._out, self._shape = out, shape
        options = {"preset": video.preset, "crf": str(_CRF if video.crf is None else video.crf)}
        options["x264-params"] = "force-cfr=1"  # H.264 then says the frame rate, not that of the time base's ticks
        if key_every is not None:
            options["g"] = str(key_every)
        is_limited = video.crf is None and bool(begin.bit_rate)
        if begin.bit_rate and is_limited:
            rate = max(round(begin.bit_rate * _RATE_SHARE), _RATE_LEAST)
            options |= {"maxrate": str(rate), "bufsize": str(2 * rate)}
        self._stream = out.add_stream("libx264", rate=Fraction(begin.fps).limit_denominator(1001), options=options)
        self._stream.width, self._stream.height = shape.width, shape.height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        if shape.pixel_aspect != (1, 1):
            context.sample_aspect_ratio = Fraction(*shape.pixel_aspect)
        self._stream.time_base = context.time_base = TIME_BASE
        context.thread_type = "FRAME"  # slices would cost quality
        # To keep to a rate, x264's threads look at how far the others are at the moment.
        context.thread_count = 1 if repeatable and is_limited else min(os.cpu_count() or 1, _THREADS_MAX)
        context.flags |= _FRAME_DURATION
        self._space = _BT709 if shape.height >= 720 else _BT601
        context.colorspace = self._space
        self._packet: Packet[VideoStream] | None = None
        """The last one that was encoded; only at the end is it known how long it lasts."""
        self._first_dts: int | None = None
        self._end = 0
        """Tick at which the last encoded frame has been shown."""

    def picture(self, rgb: NDArray[np.uint8]) -> VideoFrame:
        """An (H, W, 3) picture as it is encoded; a copy."""
        whole = VideoFrame.from_numpy_buffer(np.ascontiguousarray(self._fitted(rgb)), "rgb24")
        return whole.reformat(format="yuv420p", dst_colorspace=self._space, threads=1)

    def encode(self, picture: VideoFrame, at: int, lasts: int) -> None:
        """Write a picture that is shown from a tick on, for so many."""
        picture.pts, picture.time_base = at, TIME_BASE
        picture.duration = max(lasts, 1)
        self._end = at + picture.duration
        for packet in self._stream.encode(picture):
            self._mux(packet)

    def finish(self) -> None:
        """Write what x264 still holds; the last packet, whose frame may not be shown last, lasts to the end."""
        for packet in self._stream.encode(None):
            self._mux(packet)
        if self._packet is not None and self._packet.dts is not None:
            self._packet.duration = max(self._end - self._packet.dts + (self._first_dts or 0), 1)
            self._out.mux(self._packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        if self._first_dts is None:
            self._first_dts = packet.dts
        if self._packet is not None:
            self._out.mux(self._packet)
        self._packet = packet

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture at the video's size: padded by a pixel, or, of another size, letterboxed."""
        (width, height), (high, wide, _) = (self._shape.width, self._shape.height), picture.shape
        if (wide, high) == (width, height):
            return picture
        if (wide + wide % 2, high + high % 2) == (width, height):
            return np.pad(picture, ((0, height - high), (0, width - wide), (0, 0)), mode="edge")
        scale = min(width / wide, height / high)
        wide, high = max(1, round(wide * scale)), max(1, round(high * scale))
        scaled = VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").reformat(wide, high).to_ndarray()
        box = np.zeros((height, width, 3), np.uint8)
        top, left = (height - high) // 2, (width - wide) // 2
        box[top : top + high, left : left + wide] = scaled
        return box


def ticks(ns: int) -> int:
    """Nanoseconds in units of the time base."""
    return round(Fraction(ns, 1_000_000_000) / TIME_BASE)


@contextmanager
def video_writing(path: Path) -> Iterator[None]:
    """As `writing`, also of what FFmpeg says."""
    with writing(path):
        try:
            yield
        except av.FFmpegError as error:
            raise OSError(error.errno, error.strerror or str(error)) from error
