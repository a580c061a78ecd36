"""Pictures and their times, encoded into an open container."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct
from numpy.typing import NDArray

from stream.messages import Begin, Frame
from stream.sinks.codecs import Codec, Encoding
from stream.sinks.output import writing

TIME_BASE = Fraction(1, 90_000)
_RATE_SHARE = 1.2  # of the source's rate: a drawn skeleton costs bits, but not more
_RATE_LEAST = 300_000
_THREADS_MAX = 4
_NEVER_REORDERED = 2  # frames; an encoder gives none of them before it is told that these are all
_LINE_SHARE = 42 / 960  # height of the strip with the small line, of the root of the picture's area
_LINE_PX_MIN = 8
_LINE_QUALITY = Fraction(-1, 5)  # of FFmpeg's range of quantizers
_BT709, _BT601 = 1, 5  # of FFmpeg's colour spaces


class Shape(Struct, frozen=True):
    """Size and pixel shape of a video."""

    width: int
    height: int
    pixel_aspect: tuple[int, int]

    @classmethod
    def of(cls, first: Frame, codec: Codec) -> Shape:
        """That of a video whose first frame is given: sides that are even, as 4:2:0 needs, and as the codec allows."""
        scale = min(codec.side_px_max / max(first.width, first.height), 1)
        width, height = (max(round(side * scale), codec.side_px_min) for side in (first.width, first.height))
        return cls(width + width % 2, height + height % 2, first.pixel_aspect)


class Encoder:
    """A stream of an open container."""

    def __init__(
        self,
        out: OutputContainer,
        begin: Begin,
        shape: Shape,
        encoding: Encoding,
        key_every: int | None,
        repeatable: bool,
    ) -> None:
        """Add the stream.

        Args:
            out: gets it.
            begin: says frame rate, bit rate and size of the source.
            shape: of the video; pictures of another size are letterboxed.
            encoding: codec, quality and preset.
            key_every: frames between key frames at most; None: as the encoder likes.
            repeatable: the same pictures always give the same bytes, if more slowly.
        """
        self._out, self._shape = out, shape
        rate = _rate_max(begin, shape) if encoding.video.crf is None else None
        options = encoding.options(rate, repeatable)
        if key_every is not None:
            options["g"] = str(key_every)
        fps = Fraction(begin.fps).limit_denominator(1001)
        stream = out.add_stream(encoding.encoder, rate=fps, options=options)
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.width, self._stream.height = shape.width, shape.height
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        if shape.pixel_aspect != (1, 1):
            context.sample_aspect_ratio = Fraction(*shape.pixel_aspect)
        if encoding.codec.tag:
            context.codec_tag = encoding.codec.tag
        self._stream.time_base = context.time_base = TIME_BASE
        context.thread_type = "FRAME"  # slices would cost quality
        # To keep to a rate, an encoder's threads look at how far the others are at the moment.
        context.thread_count = 1 if repeatable and "maxrate" in options else min(os.cpu_count() or 1, _THREADS_MAX)
        self._space = _BT709 if shape.height >= 720 else _BT601
        context.colorspace = self._space
        self._line = _SmallLine(shape)
        self._frames = 0
        self._lasts: dict[int, int] = {}
        """When a frame is shown that is being encoded -> for how long."""
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
        self._frames += 1
        self._lasts[at] = max(lasts, 1)
        self._end = at + self._lasts[at]
        for packet in self._stream.encode(self._line.marked(picture)):
            self._mux(packet)

    def finish(self) -> None:
        """Write what the encoder still holds; the last packet, whose frame may not be shown last, lasts to the end."""
        few = self._frames <= _NEVER_REORDERED
        for packet in self._stream.encode(None):
            if few:  # x265 does not know yet by how many it reorders, and says any time
                packet.dts = packet.pts
            self._mux(packet)
        if self._packet is not None and self._packet.dts is not None:
            self._packet.duration = max(self._end - self._packet.dts + (self._first_dts or 0), 1)
            self._out.mux(self._packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        packet.duration = self._lasts.pop(packet.pts or 0, packet.duration)
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


class _SmallLine:
    """The strip at the bottom with the small line, whose digits change in each frame.

    Encoders save bits on what the next frames do not need, and then the digits of the frame before shine through; so
    they are asked to take more care there.
    """

    def __init__(self, shape: Shape) -> None:
        high = round(_LINE_SHARE * math.sqrt(shape.width * shape.height))
        if high < _LINE_PX_MIN:  # nobody can read it
            self._graph = None
            return
        self._graph = av.filter.Graph()
        pictures = self._graph.add_buffer(
            width=shape.width, height=shape.height, format=VideoFormat("yuv420p"), time_base=TIME_BASE
        )
        region = f"x=0:y={shape.height - high}:w={shape.width}:h={high}:qoffset={_LINE_QUALITY}"
        self._graph.link_nodes(pictures, self._graph.add("addroi", region), self._graph.add("buffersink")).configure()

    def marked(self, picture: VideoFrame) -> VideoFrame:
        """The picture, the strip marked as a region of interest."""
        if self._graph is None:
            return picture
        self._graph.vpush(picture)
        return self._graph.vpull()


def _rate_max(begin: Begin, shape: Shape) -> int | None:
    """Bits a second of a video that is not much larger than its source; None: the source's are unknown."""
    if not begin.bit_rate:
        return None
    larger = max(shape.width * shape.height / (begin.width * begin.height), 1)
    return max(round(begin.bit_rate * _RATE_SHARE * larger), _RATE_LEAST)


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
