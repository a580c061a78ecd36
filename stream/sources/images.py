"""A folder of images as a source: each image is a frame."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
from av.video.frame import VideoFrame
from msgspec import Struct

from configs.errors import SourceError
from configs.sources import DecodeSettings
from stream.address import printable
from stream.arrays import pack, unpack
from stream.messages import Begin, End, Frame, SourceSpec
from stream.sources.clock import ClockState
from stream.sources.container import open_container, video_stream
from stream.sources.folder import image_names, video_names
from stream.sources.source import Recording

_NAMED_MAX = 10
_SQUARE = 1, 1  # what an image says of pixel shape is meant for print


class _State(Struct, frozen=True):
    """Where the reading of a folder stands, after a frame."""

    next: int
    """Index of the image after it."""
    frames: int
    clock: ClockState
    damaged: int
    unreadable: list[str]


class ImagesSource(Recording):
    """The images of a folder, as people count them, at the assumed rate; those of the range.

    An image that cannot be read keeps its time and is left out, counted and named.
    """

    _images: Sequence[str] = ()
    _videos: Sequence[str] = ()
    _next = 0
    """Index of the image that is read next."""
    _count = 0
    """Images of the range."""

    def __init__(self, spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> None:
        super().__init__(spec, settings, stop)
        fps = Fraction(settings.assumed_fps)
        self._rate = fps.limit_denominator(1001) or fps
        self.damaged = 0
        self._unreadable: list[str] = []

    def begin(self, first: Frame) -> Begin:
        size, fps, length_s = (first.width, first.height), float(self._rate), float(self._count / self._rate)
        return Begin(self.spec, *size, fps, self._count, length_s, start_s=self.start_s, end_s=self.end_s)

    def end(self, problem: str = "") -> End:
        return End(self.spec.name, self.frames, self.damaged, self.stopped, problem, notes=tuple(self._notes()))

    def close(self) -> None:
        """Nothing stays open: each image is closed once it is read."""

    def decoded(self) -> Iterator[Frame]:
        try:
            names = os.listdir(self.spec.path)
        except OSError as error:
            raise SourceError(f"{self.spec.label}: folder cannot be read: {error.strerror}") from None
        self._images, self._videos = image_names(names), video_names(names)
        if state := self.spec.states.get("decode"):
            self._restore(unpack(state, _State))
        first, chosen = self._in_range()
        self._count = len(chosen)
        done = max(self._next - first, 0)
        for number, name in enumerate(chosen[done:], first + done):
            if self.stop():
                return
            self._next = number + 1
            picture = self._picture(os.path.join(self.spec.path, name))
            if picture is None:
                continue
            pts_ns, _ = self.clock.time(number, 1 / self._rate, (picture.width, picture.height))
            self.damaged += picture.is_corrupt or self.next_is_poison
            yield self.frame(picture, pts_ns, ("timing_assumed",), _SQUARE)

    def state(self) -> bytes:
        return pack(_State(self._next, self.frames, self.clock.state(), self.damaged, self._unreadable))

    def _restore(self, state: _State) -> None:
        self._next, self.frames, self.damaged = state.next, state.frames, state.damaged
        self.clock.restore(state.clock)
        self._unreadable = list(state.unreadable)

    def _in_range(self) -> tuple[int, Sequence[str]]:
        """Index of the first image of the range, and the images in it."""
        fps, end_s = self.settings.assumed_fps, self.end_s
        first = math.ceil(self.start_s * fps - 1e-6)
        return first, self._images[first : None if end_s is None else math.ceil(end_s * fps - 1e-6)]

    def _picture(self, path: str) -> VideoFrame | None:
        """The image; None if it cannot be read, which is noted."""
        label, pixels_max = printable(path), self.settings.frame_pixels_max
        try:
            with open_container(path, label, pixels_max) as container:
                stream = video_stream(container, path, label, pixels_max)
                if (picture := next(container.decode(stream), None)) is not None:
                    return picture
                why = f"{label}: holds no picture"
        except SourceError as error:
            why = str(error)
        except av.FFmpegError:
            why = f"{label}: cannot be decoded"
        self.damaged += 1
        self._unreadable.append(why)
        return None

    def why_empty(self) -> str:
        if not self._count:
            return "no frame lies between --start and --end"
        return f"none of its {self._count} images can be read"

    def _notes(self) -> Iterator[str]:
        """What was left out of the folder; nothing where nothing was read, which is a problem of its own."""
        if not self.frames:
            return
        yield from self._unreadable[:_NAMED_MAX]
        if (more := len(self._unreadable) - _NAMED_MAX) > 0:
            yield f"{self.spec.label}: {more} more images cannot be read"
        for name in self._videos:
            yield f"{self.spec.label}: {printable(name)} is left out: a video among images; give it by itself"
