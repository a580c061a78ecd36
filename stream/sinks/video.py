"""The sink that writes overlay.mp4: H.264 at the source's times, with the source's sound."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from configs.schema import DecodeSettings, VideoSettings
from stream.messages import Begin, End, Frame, Message, Tracks
from stream.sinks.output import finish, part_of, writing
from stream.stage import Stage

_TIME_BASE = Fraction(1, 90_000)
_CRF = 23
_RATE_SHARE = 1.2  # of the source's rate: a drawn skeleton costs bits, but not more
_RATE_LEAST = 300_000
_MP4_AUDIO = {"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"}
_AAC_RATES = {48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000}
_LAST_NS_MAX = 10_000_000_000  # a longer rest is more likely sound without a picture
_THREADS_MAX = 4
_FRAME_DURATION = 0x100  # of FFmpeg's codec flags: how long a frame is shown goes with its packet
_BT709, _BT601 = 1, 5  # of FFmpeg's colour spaces


class VideoSink(Stage):
    """Frames or tracks in and on; `overlay.mp4` in each source's folder.

    It is written as `overlay.mp4.part` and takes its name when the source has ended; a source without
    frames leaves none. The first frame's time is the video's start.
    """

    def __init__(self, video: VideoSettings, decode: DecodeSettings) -> None:
        self._video, self._decode = video, decode
        self._begun: dict[str, Begin] = {}
        self._writers: dict[str, _Writer] = {}

    def process(self, message: Message) -> Iterator[Message]:
        self._take(message)
        yield message

    def _take(self, message: Message) -> None:
        match message:
            case Begin():
                self._begun[message.spec.name] = message
            case Frame() | Tracks():
                frame = message if isinstance(message, Frame) else message.frame
                writer = self._writers.get(frame.source)
                if writer is None:
                    writer = _Writer(self._begun[frame.source], frame, self._video, self._decode)
                    self._writers[frame.source] = writer
                writer.write(frame)
            case End():
                self._begun.pop(message.source, None)
                if message.source in self._writers:
                    self._writers.pop(message.source).finish(whole=not message.stopped and not message.problem)

    def flush(self) -> Iterable[Message]:
        for source in list(self._writers):
            self._writers.pop(source).finish(whole=False)
        return ()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.abandon()


class _Writer:
    """One overlay under way."""

    def __init__(self, begin: Begin, first: Frame, video: VideoSettings, decode: DecodeSettings) -> None:
        self._path = Path(begin.spec.folder) / "overlay.mp4"
        self._first_ns = self._origin_ns = first.pts_ns
        self._size = (first.width + first.width % 2, first.height + first.height % 2)  # 4:2:0 knows no odd sides
        self._step_ns = round(1e9 / begin.fps)
        self._length_ns = None if decode.start_s or begin.duration_s is None else round(begin.duration_s * 1e9)
        self._held: tuple[VideoFrame, int] | None = None
        self._audio: _Audio | None = None
        with self._saying():
            part, options = part_of(self._path), {"movflags": "+faststart"}
            self._out: OutputContainer = av.open(part, "w", format="mp4", options=options)
        try:
            with self._saying():
                self._add_video(begin, video)
            if video.audio and begin.spec.kind == "file":
                self._audio = _Audio.of(begin.spec.uri, self._out, first.pts_ns, decode)
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
                self._pump(self._held[1] + shown_ns)
            with self._saying():
                self._out.mux(self._stream.encode(None))
                self._out.close()
            finish(self._path)
        except BaseException:
            self.abandon()
            raise
        self._close_audio()

    def abandon(self) -> None:
        self._close_audio()
        try:
            self._out.close()
        except (av.FFmpegError, OSError):  # that is why it is abandoned
            pass
        finally:
            part_of(self._path).unlink(missing_ok=True)

    def _last_ns(self, pts_ns: int) -> int:
        """Give how long the last frame is shown: to the source's end."""
        rest_ns = (self._length_ns or 0) - (pts_ns - self._first_ns)
        return rest_ns if self._origin_ns == self._first_ns and 0 < rest_ns < _LAST_NS_MAX else self._step_ns

    def _add_video(self, begin: Begin, video: VideoSettings) -> None:
        options = {"preset": video.preset, "crf": str(_CRF if video.crf is None else video.crf)}
        if video.crf is None and begin.bit_rate:
            rate = max(round(begin.bit_rate * _RATE_SHARE), _RATE_LEAST)
            options |= {"maxrate": str(rate), "bufsize": str(2 * rate)}
        self._stream = self._out.add_stream(
            "libx264", rate=Fraction(begin.fps).limit_denominator(1001), options=options
        )
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
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
        with self._saying():
            self._out.mux(self._stream.encode(picture))

    def _yuv(self, rgb: NDArray[np.uint8]) -> VideoFrame:
        picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(self._fitted(rgb)), "rgb24")
        return picture.reformat(format="yuv420p", dst_colorspace=self._space, threads=1)

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the picture at the video's size: padded by a pixel, or, of another size, letterboxed."""
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

    def _pump(self, until_ns: int) -> None:
        """Write the sound up to a time of the source; sound that MP4 does not take ends, the video goes on."""
        with self._saying():
            try:
                for packet in self._audio.packets(until_ns) if self._audio else ():
                    self._out.mux(packet)
            except (av.ArgumentError, av.InvalidDataError):
                self._close_audio()

    def _close_audio(self) -> None:
        if self._audio is not None:
            self._audio.close()
        self._audio = None

    def _ticks(self, ns: int) -> int:
        return round(Fraction(ns, 1_000_000_000) / _TIME_BASE)

    @contextmanager
    def _saying(self) -> Iterator[None]:
        with writing(self._path):
            try:
                yield
            except av.FFmpegError as error:
                raise OSError(error.errno, error.strerror or str(error)) from error


class _Audio:
    """The source's sound, moved to the overlay's start: as it is where MP4 can hold it, else as AAC."""

    def __init__(self, source: InputContainer, stream: AudioStream, out: OutputContainer, origin_ns: int) -> None:
        self._source, self._origin_ns = source, origin_ns
        self._resampler: av.AudioResampler | None = None
        if stream.codec_context.codec.canonical_name in _MP4_AUDIO:
            self._out_stream = out.add_stream_from_template(stream)
        else:
            rate = stream.rate if stream.rate in _AAC_RATES else 48_000
            self._out_stream = out.add_stream("aac", rate=rate)
            self._out_stream.layout = "mono" if stream.channels == 1 else "stereo"
            self._resampler = av.AudioResampler("fltp", self._out_stream.layout, rate, frame_size=1024)
        self._read = self._moved(stream)
        self._next: Packet[AudioStream] | None = None

    @classmethod
    def of(cls, path: str, out: OutputContainer, origin_ns: int, decode: DecodeSettings) -> _Audio | None:
        """Open a source's sound; None where it has none that can be read."""
        try:
            source = av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="ignore")
        except (av.FFmpegError, OSError):  # the video was read: sound alone is not worth an error
            return None
        stream = source.streams.best("audio")
        try:
            if isinstance(stream, AudioStream) and stream.codec_context is not None and stream.rate:
                if decode.start_s:
                    source.seek(max(origin_ns // 1000 - 500_000, 0))
                return cls(source, stream, out, origin_ns)
        except (av.FFmpegError, ValueError):  # MP4 cannot hold it after all
            pass
        source.close()
        return None

    def packets(self, until_ns: int) -> Iterator[Packet[AudioStream]]:
        """Give what is heard before this time of the source."""
        while True:
            packet = self._next or next(self._read, None)
            if packet is None:
                return
            self._next = packet
            assert packet.pts is not None
            if packet.pts * packet.time_base * 1_000_000_000 + self._origin_ns >= until_ns:
                return
            self._next = None
            yield packet

    def close(self) -> None:
        self._source.close()

    def _moved(self, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
        """Give the sound's packets, times rising; a damaged file ends it."""
        last = -1
        try:
            for packet in self._source.demux(stream):
                for moved in self._recoded(packet) if self._resampler else self._copied(packet):
                    if moved.pts is not None and moved.dts is not None and moved.dts > last:
                        last = moved.dts
                        yield moved
        except av.FFmpegError:
            return

    def _copied(self, packet: Packet[AudioStream]) -> Iterator[Packet[AudioStream]]:
        if packet.pts is None or packet.dts is None:
            return
        offset = round(Fraction(self._origin_ns, 1_000_000_000) / packet.time_base)
        packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
        if packet.pts >= 0:
            packet.stream = self._out_stream
            yield packet

    def _recoded(self, packet: Packet[AudioStream]) -> Iterator[Packet[AudioStream]]:
        assert self._resampler is not None
        decoded: list[AudioFrame | None] = [None]
        if packet.size:
            try:
                decoded = [heard for heard in packet.decode() if isinstance(heard, AudioFrame)]
            except av.FFmpegError:  # a gap in the sound
                return
        for heard in decoded:
            for frame in self._resampler.resample(heard):
                assert frame.time_base is not None
                offset = round(Fraction(self._origin_ns, 1_000_000_000) / frame.time_base)
                if frame.pts is not None and frame.pts >= offset:
                    frame.pts -= offset
                    yield from self._out_stream.encode(frame)
        if not packet.size:
            yield from self._out_stream.encode(None)
