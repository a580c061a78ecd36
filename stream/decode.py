"""The first stage: files and image folders to frames, with their true times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from configs.schema import DecodeSettings
from stream.clock import Clock
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec
from stream.sources import SourceError, image_files

_LISTS = {"hls", "concat", "dash", "sdp", "image2", "imf"}  # formats that name other files
_ERRORS_MAX = 1000  # in a row, without a frame in between
_UNSPECIFIED, _BT709 = 2, 1  # of FFmpeg's colour spaces


def decode(specs: Sequence[SourceSpec], settings: DecodeSettings, stop: Callable[[], bool]) -> Iterator[Message]:
    """Read sources one after another: Begin, each Frame in the order it is shown, End.

    Pictures are upright RGB. A packet that cannot be decoded is left out and counted. A source of which
    nothing can be had gives an End alone, which says why. `Frame.index` counts from the first frame given.

    Args:
        specs: files and image folders.
        settings: range, limits, assumed frame rate.
        stop: asked before each frame; once it is true, the source at hand ends as stopped and no other is opened.
    """
    for spec in specs:
        if stop():
            return
        source = _Images(spec, settings) if spec.kind == "images" else _File(spec, settings)
        try:
            yield from source.read(stop)
        except SourceError as error:
            yield End(spec.name, source.given, source.damaged, problem=str(error))


@dataclass
class _Source:
    """What files and image folders share: counting, times, turning pictures into frames."""

    spec: SourceSpec
    settings: DecodeSettings
    given: int = 0
    damaged: int = 0
    clock: Clock = field(init=False)

    def frame(self, picture: VideoFrame, pts: int | None) -> Frame:
        """Give the next frame."""
        array = _upright_rgb(picture)
        height, width, _ = array.shape
        pts_ns, flags = self.clock.time(pts, picture.time_base, (width, height))
        if picture.is_corrupt:
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


class _File(_Source):
    """A video file."""

    def read(self, stop: Callable[[], bool]) -> Iterator[Message]:
        """Give the file's messages.

        Raises:
            SourceError: nothing can be had of it.
        """
        with _opened(self.spec.uri) as container:
            stream = self._stream(container)
            fps = float(stream.average_rate or stream.guessed_rate or self.settings.assumed_fps)
            self.clock = Clock(fps if stream.time_base else self.settings.assumed_fps)
            stopped = False
            for picture in self._in_range(container, stream):
                frame = self.frame(picture, picture.pts)
                if self.given == 1:
                    yield self._begin(container, stream, frame, fps)
                yield frame
                stopped = stop()
                if stopped:
                    break
            if not self.given:
                raise SourceError(f"{self.spec.uri}: {self._emptiness(container, stream)}")
            lacks = "" if stopped else self._what_lacks(stream)
            yield End(self.spec.name, self.given, self.damaged, stopped, lacks)

    def _stream(self, container: InputContainer) -> VideoStream:
        videos = [
            stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic
        ]
        if not videos:
            raise SourceError(f"{self.spec.uri}: holds no video stream")
        stream = container.streams.best("video")
        stream = stream if stream in videos else videos[0]
        if stream.codec_context is None:
            raise SourceError(f"{self.spec.uri}: no decoder for its video codec in {container.format.long_name}")
        if stream.width * stream.height > self.settings.frame_px2_max:
            raise SourceError(
                f"{self.spec.uri}: pictures of {stream.width}x{stream.height} pixels; "
                f"at most {self.settings.frame_px2_max} are read (decode.frame_px2_max)"
            )
        stream.thread_type = "AUTO"
        return stream

    def _in_range(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        start_s, end_s = self.settings.start_s, self.settings.end_s
        origin = stream.start_time or 0
        if start_s and stream.time_base:
            container.seek(origin + int(start_s / stream.time_base), stream=stream)
        for picture in self._pictures(container, stream):
            if picture.pts is not None and picture.time_base:
                at_s = float((picture.pts - origin) * picture.time_base)
                if at_s < start_s - 1e-6:
                    continue
                if end_s is not None and at_s >= end_s - 1e-6:
                    return
            yield picture

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a bad one costs no more than itself."""
        errors = 0
        packets = container.demux(stream)
        while errors < _ERRORS_MAX:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                pictures = packet.decode()
            except av.FFmpegError:
                errors += 1
                self.damaged += 1
                packets = container.demux(stream)  # an error has ended the old one
                continue
            for picture in pictures:
                errors = 0
                if picture.width * picture.height <= self.settings.frame_px2_max:
                    yield picture

    def _begin(self, container: InputContainer, stream: VideoStream, first: Frame, fps: float) -> Begin:
        whole_s = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if whole_s is None and container.duration:
            whole_s = container.duration / av.time_base
        end_s = min(x for x in (whole_s, self.settings.end_s) if x is not None) if whole_s else None
        length_s = max(end_s - self.settings.start_s, 0.0) if end_s is not None else None
        ranged = bool(self.settings.start_s or self.settings.end_s is not None)
        frames = stream.frames if stream.frames and not ranged else round(length_s * fps) if length_s else None
        rate = stream.bit_rate or container.bit_rate
        return Begin(self.spec, first.width, first.height, fps, frames, length_s, rate or None)

    def _emptiness(self, container: InputContainer, stream: VideoStream) -> str:
        if self.damaged:
            return f"no frame of its {stream.codec_context.name} video can be decoded"
        if self.settings.start_s or self.settings.end_s is not None:
            return "no frame lies between --start and --end"
        return "holds no frame"

    def _what_lacks(self, stream: VideoStream) -> str:
        if self.settings.start_s or self.settings.end_s is not None:
            return ""
        size = Path(self.spec.uri).stat().st_size
        lost = sum(entry.pos + entry.size > size for entry in stream.index_entries)
        self.damaged = max(self.damaged, lost)  # a cut between two packets is no error to FFmpeg
        if self.damaged and self.given < stream.frames:
            return f"{self.spec.uri}: damaged: {self.given} of {stream.frames} frames could be read"
        return ""


class _Images(_Source):
    """The images of a folder, each a frame."""

    def read(self, stop: Callable[[], bool]) -> Iterator[Message]:
        """Give the folder's messages.

        Raises:
            SourceError: no image can be read.
        """
        fps = self.settings.assumed_fps
        self.clock = Clock(fps)
        stopped = False
        paths = self._in_range(image_files(self.spec.uri))
        for path in paths:
            picture = self._picture(path)
            if picture is None:
                self.damaged += 1
                continue
            frame = self.frame(picture, None)
            if self.given == 1:
                yield Begin(self.spec, frame.width, frame.height, fps, len(paths), len(paths) / fps)
            yield frame
            stopped = stop()
            if stopped:
                break
        if not self.given:
            raise SourceError(f"{self.spec.uri}: none of its {len(paths)} images can be read")
        yield End(self.spec.name, self.given, self.damaged, stopped)

    def _in_range(self, paths: list[str]) -> list[str]:
        first, end_s = round(self.settings.start_s * self.settings.assumed_fps), self.settings.end_s
        return paths[first : None if end_s is None else round(end_s * self.settings.assumed_fps)]

    def _picture(self, path: str) -> VideoFrame | None:
        try:
            with av.open(path, options={"protocol_whitelist": "file"}) as container:
                stream = container.streams.video[0]
                if stream.width * stream.height > self.settings.frame_px2_max:
                    return None
                return next(container.decode(stream), None)
        except (av.FFmpegError, OSError, IndexError):
            return None


def _opened(path: str) -> InputContainer:
    try:
        container = av.open(path, options={"protocol_whitelist": "file"}, metadata_errors="ignore")
    except av.FFmpegError as error:
        raise SourceError(f"{path}: {_why_not(Path(path), error)}") from None
    if set(container.format.name.split(",")) & _LISTS:
        container.close()
        raise SourceError(f"{path}: a list of other files ({container.format.long_name}); give the videos themselves")
    return container


def _why_not(path: Path, error: av.FFmpegError) -> str:
    if not isinstance(error, av.InvalidDataError):
        return f"cannot be opened: {error.strerror}"
    with path.open("rb") as file:
        if file.read(12)[4:8] == b"ftyp":
            return "its index is missing: the recording was cut off before it was finished"
    return "not a video that can be read"


def _upright_rgb(picture: VideoFrame) -> NDArray[np.uint8]:
    """Give the picture's pixels (H, W, 3), turned as players turn them.

    High-definition video that does not say so is BT.709, as players take it; FFmpeg's scaler would take BT.601.
    """
    hd = picture.colorspace == _UNSPECIFIED and picture.height >= 720
    rgb = picture.reformat(format="rgb24", src_colorspace=_BT709 if hd else None, threads=1)
    array = rgb.to_ndarray().astype(np.uint8, copy=False)
    if picture.rotation % 360:
        array = np.ascontiguousarray(np.rot90(array, picture.rotation // 90))
    return array
