"""The sink that writes overlay.mp4: H.264 at the source's times, with the source's sound."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from configs.schema import VideoSettings
from stream.messages import Begin, End, Frame, Message, Tracks
from stream.sinks.output import finish, part_of, writing
from stream.sinks.segments import Segments
from stream.sinks.sound import Sound
from stream.stage import Stage

_FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
"""Of MP4 that can be played whenever the run ends, up to the last key frame."""
_KEY_S = 2.0  # between key frames of a live source
_TIME_BASE = Fraction(1, 90_000)
_CRF = 23
_RATE_SHARE = 1.2  # of the source's rate: a drawn skeleton costs bits, but not more
_RATE_LEAST = 300_000
_LAST_NS_MAX = 10_000_000_000  # a longer rest is more likely sound without a picture
_THREADS_MAX = 4
_SIDE_MAX = 16_384  # of a picture that x264 takes, pixels
_FRAME_DURATION = 0x100  # of FFmpeg's codec flags: how long a frame is shown goes with its packet
_BT709, _BT601 = 1, 5  # of FFmpeg's colour spaces


class VideoSink(Stage):
    """Frames or tracks in and on; `overlay.mp4` in each source's folder.

    It is written as `overlay.mp4.part` and takes its name when the source has ended; a source without
    frames leaves none. The first frame's time is the video's start, its size and pixel shape are the video's;
    sides beyond what H.264 allows are scaled down. The overlay of a live source has its name from the start, can be
    played at any time, and may be cut into several files.
    """

    def __init__(self, video: VideoSettings) -> None:
        self._video = video
        self._begun: dict[str, Begin] = {}
        self._writers: dict[str, _Writer] = {}
        self._segments: dict[str, Segments] = {}

    def process(self, message: Message) -> Iterator[Message]:
        self._take(message)
        yield message

    def _take(self, message: Message) -> None:
        match message:
            case Begin():
                self._begun[message.spec.name] = message
                if message.live:
                    self._segments[message.spec.name] = Segments(message, self._video)
            case Frame() | Tracks():
                self._write(message if isinstance(message, Frame) else message.frame)
            case End():
                self._begun.pop(message.source, None)
                self._segments.pop(message.source, None)
                if message.source in self._writers:
                    self._writers.pop(message.source).finish(whole=not message.stopped and not message.problem)

    def _write(self, frame: Frame) -> None:
        segments = self._segments.get(frame.source)
        if segments and frame.source in self._writers and segments.is_over(frame):
            self._writers.pop(frame.source).finish(whole=False)
        if frame.source not in self._writers:
            begin = self._begun[frame.source]
            path = segments.next(frame) if segments else Path(begin.spec.folder) / "overlay.mp4"
            self._writers[frame.source] = _Writer(path, begin, frame, self._video)
        self._writers[frame.source].write(frame)

    def flush(self) -> Iterable[Message]:
        for source in list(self._writers):
            self._writers.pop(source).finish(whole=False)
        return ()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.abandon()


class _Writer:
    """One overlay under way."""

    def __init__(self, path: Path, begin: Begin, first: Frame, video: VideoSettings) -> None:
        self._path, self._part = path, path if begin.live else part_of(path)
        self._first_ns = self._origin_ns = first.pts_ns
        self._size = _encodable(first.width, first.height)
        self._step_ns = round(1e9 / begin.fps)
        self._begin = begin
        self._held: tuple[VideoFrame, int] | None = None
        self._packet: Packet[VideoStream] | None = None
        """The last one that was encoded; only at the end is it known how long it lasts."""
        self._first_dts: int | None = None
        self._end_ticks = 0
        """When the last encoded frame has been shown."""
        self._sound: Sound | None = None
        with self._saying():
            options = _FRAGMENTED if begin.live else {"movflags": "+faststart"}
            self._out: OutputContainer = av.open(f"file:{self._part}", "w", format="mp4", options=options)
        try:
            with self._saying():
                self._add_video(begin, first, video)
            if video.audio and begin.sound:
                self._sound = Sound.of(begin.spec.path, self._out, first.pts_ns, seek=bool(begin.start_s))
        except BaseException:
            self.abandon()
            raise

    def write(self, frame: Frame) -> None:
        """Add a frame; it is encoded when the next one tells how long it is shown."""
        picture = self._yuv(frame.picture)  # at once: the pixels may be overwritten soon
        if self._held is not None:
            shown_ns = frame.pts_ns - self._held[1]
            if shown_ns > 0:
                self._encode(shown_ns)
            else:  # the source's clock has stepped back, the video's goes on
                self._encode(self._step_ns)
                self._origin_ns += shown_ns - self._step_ns
        self._held = picture, frame.pts_ns

    def finish(self, whole: bool) -> None:
        """Write what is held back and let the file take its name; whole: the source was read to its end."""
        try:
            if self._held is not None:
                shown_ns = self._last_ns(self._held[1]) if whole else self._step_ns
                self._encode(shown_ns)
                self._pump(self._sound_end_ns() if whole else self._held[1] + shown_ns)
            with self._saying():
                for packet in self._stream.encode(None):
                    self._mux(packet)
                self._mux_last()
                self._out.close()
            if self._part != self._path:
                finish(self._path)
        except BaseException:
            self.abandon()
            raise
        self._close_sound()

    def abandon(self) -> None:
        self._close_sound()
        try:
            self._out.close()
        except (av.FFmpegError, OSError):  # that is why it is abandoned
            pass
        finally:
            if self._part != self._path:
                self._part.unlink(missing_ok=True)

    def _last_ns(self, pts_ns: int) -> int:
        """How long the last frame is shown: to the source's end."""
        rest_ns = (self._begin.end_ns or 0) - pts_ns
        return rest_ns if self._origin_ns == self._first_ns and 0 < rest_ns < _LAST_NS_MAX else self._step_ns

    def _sound_end_ns(self) -> int | None:
        """Up to when there is sound, on the source's clock; None: to its own end."""
        return None if self._begin.end_s is None else self._begin.end_ns

    def _add_video(self, begin: Begin, first: Frame, video: VideoSettings) -> None:
        options = {"preset": video.preset, "crf": str(_CRF if video.crf is None else video.crf)}
        options["x264-params"] = "force-cfr=1"  # H.264 then says the frame rate, not that of the time base's ticks
        if begin.live:
            options["g"] = str(max(round(_KEY_S * begin.fps), 1))
        if video.crf is None and begin.bit_rate:
            rate = max(round(begin.bit_rate * _RATE_SHARE), _RATE_LEAST)
            options |= {"maxrate": str(rate), "bufsize": str(2 * rate)}
        self._stream = self._out.add_stream(
            "libx264", rate=Fraction(begin.fps).limit_denominator(1001), options=options
        )
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        if first.pixel_aspect != (1, 1):
            self._stream.codec_context.sample_aspect_ratio = Fraction(*first.pixel_aspect)
        self._stream.time_base = self._stream.codec_context.time_base = _TIME_BASE
        self._stream.codec_context.thread_type = "FRAME"  # slices would cost quality
        self._stream.codec_context.thread_count = min(os.cpu_count() or 1, _THREADS_MAX)
        self._stream.codec_context.flags |= _FRAME_DURATION
        self._space = _BT709 if self._size[1] >= 720 else _BT601
        self._stream.codec_context.colorspace = self._space

    def _encode(self, shown_ns: int) -> None:
        assert self._held is not None
        picture, pts_ns = self._held
        self._pump(pts_ns)
        picture.pts, picture.time_base = self._ticks(pts_ns - self._origin_ns), _TIME_BASE
        picture.duration = max(self._ticks(shown_ns), 1)
        self._end_ticks = picture.pts + picture.duration
        with self._saying():
            for packet in self._stream.encode(picture):
                self._mux(packet)

    def _mux(self, packet: Packet[VideoStream]) -> None:
        if self._first_dts is None:
            self._first_dts = packet.dts
        if self._packet is not None:
            self._out.mux(self._packet)
        self._packet = packet

    def _mux_last(self) -> None:
        """Write the last packet, which lasts to the video's end; its frame may not be the last that is shown."""
        if self._packet is None or self._packet.dts is None:
            return
        self._packet.duration = max(self._end_ticks - self._packet.dts + (self._first_dts or 0), 1)
        self._out.mux(self._packet)

    def _yuv(self, rgb: NDArray[np.uint8]) -> VideoFrame:
        picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(self._fitted(rgb)), "rgb24")
        return picture.reformat(format="yuv420p", dst_colorspace=self._space, threads=1)

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture at the video's size: padded by a pixel, or, of another size, letterboxed."""
        (width, height), (high, wide, _) = self._size, picture.shape
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

    def _pump(self, until_ns: int | None) -> None:
        """Write the sound up to a time of the source, None: all of it; sound that MP4 does not take is given up."""
        with self._saying():
            try:
                for packet in self._sound.packets(until_ns) if self._sound else ():
                    self._out.mux(packet)
            except (av.ArgumentError, av.InvalidDataError):
                self._close_sound()

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()
        self._sound = None

    def _ticks(self, ns: int) -> int:
        return round(Fraction(ns, 1_000_000_000) / _TIME_BASE)

    @contextmanager
    def _saying(self) -> Iterator[None]:
        with writing(self._path):
            try:
                yield
            except av.FFmpegError as error:
                raise OSError(error.errno, error.strerror or str(error)) from error


def _encodable(width: int, height: int) -> tuple[int, int]:
    """Size of the video for pictures of a size: sides that are even, as 4:2:0 needs, and not too long."""
    scale = min(_SIDE_MAX / max(width, height), 1)
    width, height = max(round(width * scale), 1), max(round(height * scale), 1)
    return width + width % 2, height + height % 2
