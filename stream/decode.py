"""The first stage: files and image folders to frames, with their true times."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from configs.errors import SourceError
from configs.schema import DecodeSettings
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec
from stream.sources.clock import Clock, frame_rate, seconds_in
from stream.sources.find import image_files, why_no_video

_REFUSED = {"concat", "dash", "hls", "image2", "imf", "sdp", "webm_dash_manifest", "tty"}
"""Formats that name other files; the last shows any text as a video of its letters."""
_ERRORS_MAX = 1000  # in a row, without a frame in between
_SEEK_BACK_S = (0.0, 5.0, 20.0)  # a seek may miss: an index may be wrong, a transport stream has none
_MISSING_S = 0.25, 1.0  # by so much a file may be shorter than it says, if it counts its frames and if not
_NO_CLOCK = 0x80  # of FFmpeg's format flags
_UNSPECIFIED, _BT709 = 2, 1  # of FFmpeg's colour spaces


def decode(specs: Sequence[SourceSpec], settings: DecodeSettings, stop: Callable[[], bool]) -> Iterator[Message]:
    """Read sources one after another: Begin, each Frame in the order it is shown, End.

    Pictures are upright RGB, times the container's own. What cannot be decoded is left out and counted, what
    could be only in part is flagged "damaged" and counted too. A source of which nothing can be had gives an
    End alone, which says why. `Frame.index` counts from the first frame given.

    Args:
        specs: files and image folders.
        settings: range, limits, assumed frame rate.
        stop: asked before each packet; once it is true, the source at hand ends as stopped and no other is opened.
    """
    for spec in specs:
        if stop():
            return
        source = _Images(spec, settings, stop) if spec.kind == "images" else _File(spec, settings, stop)
        try:
            yield from source.read()
        except SourceError as error:
            yield source.end(str(error))


class _Source(ABC):
    """What files and image folders share."""

    def __init__(self, spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> None:
        self.spec, self.settings = spec, settings
        self.clock = Clock(settings.assumed_fps)
        self.given = self.damaged = 0
        self.stopped = False
        self._ask = stop

    @abstractmethod
    def read(self) -> Iterator[Message]:
        """Give the source's messages, or raise SourceError: nothing can be had of it."""

    def stop(self) -> bool:
        self.stopped = self.stopped or self._ask()
        return self.stopped

    def frame(self, picture: VideoFrame, pts_ns: int, flags: tuple[str, ...]) -> Frame:
        array = _upright_rgb(picture)
        height, width, _ = array.shape
        if picture.is_corrupt:
            self.damaged += 1
            flags = (*flags, "damaged")
        self.given += 1
        return Frame(
            source=self.spec.name,
            epoch=self.clock.epoch,
            index=self.given - 1,
            pts_ns=pts_ns,
            captured_ns=time.monotonic_ns(),
            wall_ns=time.time_ns(),
            width=width,
            height=height,
            pixels=Pixels(array),
            flags=flags,
        )

    def end(self, problem: str = "") -> End:
        return End(self.spec.name, self.given, self.damaged, self.stopped, problem)


class _File(_Source):
    """A video file."""

    def read(self) -> Iterator[Message]:
        with _opened(self.spec.uri, self.settings) as container:
            stream = self._stream(container)
            has_clock = not container.format.flags & _NO_CLOCK
            rate = frame_rate(stream.average_rate, stream.guessed_rate) if has_clock else None
            fps = rate or self.settings.assumed_fps
            self.clock = Clock(fps)
            end_ns = 0
            for picture, pts_ns, flags in self._in_range(container, stream, has_clock):
                frame = self.frame(picture, pts_ns, flags)
                if self.given == 1:
                    yield self._begin(container, stream, fps, (frame.width, frame.height))
                yield frame
                end_ns = pts_ns + round(picture.duration * (picture.time_base or 0) * 10**9 or 1e9 / fps)
            if not self.given and not self.stopped:
                raise SourceError(f"{self.spec.uri}: {self._emptiness(stream)}")
            yield self.end(self._what_lacks(container, stream, end_ns))

    @property
    def _is_cut(self) -> bool:
        return bool(self.settings.start_s) or self.settings.end_s is not None

    def _stream(self, container: InputContainer) -> VideoStream:
        videos = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
        if not videos:
            said = "holds no video stream" if container.streams.audio else why_no_video(self.spec.uri)
            raise SourceError(f"{self.spec.uri}: {said}")
        best = container.streams.best("video")
        stream = next((video for video in videos if video is best), videos[0])
        if stream.codec_context is None:
            raise SourceError(f"{self.spec.uri}: no decoder for its video codec in {container.format.long_name}")
        px2_max = self.settings.frame_pixels_max
        if (px2 := stream.width * stream.height) > px2_max:
            raise SourceError(f"{self.spec.uri}: pictures of {px2} pixels; frame_pixels_max allows {px2_max}")
        stream.codec_context.options = {"max_pixels": str(px2_max)}  # a later picture may be larger than the first
        stream.thread_type = "AUTO"
        return stream

    def _in_range(
        self, container: InputContainer, stream: VideoStream, has_clock: bool
    ) -> Iterator[tuple[VideoFrame, int, tuple[str, ...]]]:
        """Give the pictures between start and end, with time and flags."""
        start_s, end_s = self.settings.start_s, self.settings.end_s
        origin_ns = _origin_ns(stream) if has_clock else 0
        pictures = self._sought(container, stream) if has_clock else self._pictures(container, stream)
        for picture in pictures:
            pts = picture.pts if has_clock else None
            pts_ns, flags = self.clock.time(pts, picture.time_base, (picture.width, picture.height))
            at_s = (pts_ns - origin_ns) / 1e9
            if end_s is not None and at_s >= end_s - 1e-6:
                return
            if at_s >= start_s - 1e-6:
                yield picture, pts_ns, flags

    def _sought(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Give the pictures from start on, and some before it."""
        start_s, base, origin = self.settings.start_s, stream.time_base, stream.start_time or 0
        if not start_s or not base:
            return self._pictures(container, stream)
        for back_s in (*_SEEK_BACK_S, start_s + 10):
            self.damaged = 0
            try:
                container.seek(origin + int((start_s - back_s) / base), stream=stream)
            except av.FFmpegError:
                continue
            pictures = self._pictures(container, stream)
            first = next(pictures, None)
            early = first is not None and first.pts is not None and (first.pts - origin) * base <= start_s
            if early or back_s > start_s or self.stopped:  # nothing comes before the beginning
                return pictures if first is None else chain([first], pictures)
        raise SourceError(f"{self.spec.uri}: no way to go to --start in it; leave that out")

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a bad one costs no more than itself."""
        errors = 0
        packets = container.demux(stream)
        while errors < _ERRORS_MAX and not self.stop():
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                self.damaged += packet.is_corrupt
                pictures = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                errors += 1
                self.damaged += 1
                packets = container.demux(stream)  # an error has ended the old one
                continue
            for picture in pictures:
                errors = 0
                yield picture

    def _begin(self, container: InputContainer, stream: VideoStream, fps: float, size: tuple[int, int]) -> Begin:
        whole_s = _length_s(container, stream) or (container.duration or 0) / av.time_base
        end_s = min(whole_s, self.settings.end_s or whole_s) if whole_s else None
        length_s = None if end_s is None else max(end_s - self.settings.start_s, 0.0)
        frames = stream.frames if stream.frames and not self._is_cut else round(length_s * fps) if length_s else None
        return Begin(self.spec, *size, fps, frames, length_s, _bit_rate(container, stream))

    def _emptiness(self, stream: VideoStream) -> str:
        if not self.damaged:
            return "no frame lies between --start and --end" if self._is_cut else "holds no frame"
        large = "" if stream.width else f", or each has more than {self.settings.frame_pixels_max} pixels"
        return f"no frame of its {stream.codec_context.name} video can be decoded{large}"

    def _what_lacks(self, container: InputContainer, stream: VideoStream, end_ns: int) -> str:
        """Say what should be there and is not; nothing if all is well."""
        if self.stopped:
            return ""
        length_s, reached_s = _length_s(container, stream), max(end_ns, end_ns - _origin_ns(stream)) / 1e9
        missing_s, allowed_s = (length_s or 0) - reached_s, _MISSING_S[not stream.frames]
        whole = self.settings.end_s is not None or self.clock.epoch or missing_s < allowed_s
        if self.given < stream.frames and not self._is_cut and (self.damaged or not whole):
            return f"{self.spec.uri}: damaged: {self.given} of {stream.frames} frames could be read"
        return "" if whole else f"{self.spec.uri}: ends after {reached_s:.1f} of {length_s:.1f} s: it was cut off"


class _Images(_Source):
    """The images of a folder, each a frame."""

    def read(self) -> Iterator[Message]:
        rate = Fraction(self.settings.assumed_fps).limit_denominator(1001)
        first, paths = self._in_range(image_files(self.spec.uri))
        for number, path in enumerate(paths, first):
            if self.stop():
                break
            picture = self._picture(path)
            if picture is None:
                self.damaged += 1
                continue
            pts_ns, _ = self.clock.time(number, 1 / rate, (picture.width, picture.height))
            frame = self.frame(picture, pts_ns, ("timing_assumed",))
            if self.given == 1:
                yield Begin(self.spec, frame.width, frame.height, float(rate), len(paths), float(len(paths) / rate))
            yield frame
        if not self.given and not self.stopped:
            raise SourceError(f"{self.spec.uri}: none of its {len(paths)} images can be read")
        yield self.end()

    def _in_range(self, paths: list[str]) -> tuple[int, list[str]]:
        fps, end_s = self.settings.assumed_fps, self.settings.end_s
        first = math.ceil(self.settings.start_s * fps - 1e-6)
        return first, paths[first : None if end_s is None else math.ceil(end_s * fps - 1e-6)]

    def _picture(self, path: str) -> VideoFrame | None:
        try:
            with _opened(path, self.settings) as container:
                return next(container.decode(video=0), None)
        except (SourceError, av.FFmpegError, IndexError):
            return None


def _opened(path: str, settings: DecodeSettings) -> InputContainer:
    """Open a file, and no other that it may name."""
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(sorted(av.formats_available - _REFUSED)),
        "max_pixels": str(settings.frame_pixels_max),  # opening may decode a picture
    }
    try:
        return av.open(path, options=options, metadata_errors="ignore")
    except (av.InvalidDataError, av.ArgumentError):
        raise SourceError(f"{path}: {why_no_video(path)}") from None
    except av.FFmpegError as error:
        raise SourceError(f"{path}: cannot be opened: {error.strerror}") from None


def _length_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Give the length of the very stream, in seconds; None if the file does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if (tagged_s := seconds_in(stream.metadata.get("DURATION", ""))) is not None:  # Matroska
        return tagged_s
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def _origin_ns(stream: VideoStream) -> int:
    return round((stream.start_time or 0) * (stream.time_base or 0) * 10**9)


def _bit_rate(container: InputContainer, stream: VideoStream) -> int | None:
    """Give the bits a second of the video; None if unknown."""
    others = sum(other.bit_rate or 0 for other in container.streams.audio)
    return stream.bit_rate or max((container.bit_rate or 0) - others, 0) or None


def _upright_rgb(picture: VideoFrame) -> NDArray[np.uint8]:
    """Give the picture's pixels (H, W, 3), turned as players turn them.

    Video of high definition that does not name its colours is BT.709, as players take it; FFmpeg would take BT.601.
    """
    hd = picture.colorspace == _UNSPECIFIED and (picture.width >= 1280 or picture.height > 576)
    rgb = picture.reformat(format="rgb24", src_colorspace=_BT709 if hd else None, threads=1)
    array = rgb.to_ndarray().astype(np.uint8, copy=False)
    return np.ascontiguousarray(np.rot90(array, picture.rotation // 90))
