"""What a source is: something that is opened once, read once and closed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Protocol

from av.video.frame import VideoFrame

from configs.errors import SourceError
from configs.sources import DecodeSettings
from stream.messages import Begin, End, Frame, Pixels, SourceSpec, Status
from stream.sources.clock import Clock
from stream.sources.picture import orientation, pixel_aspect, upright_rgb
from stream.sources.tone import ToneMap


class NoFrames(SourceError):
    """A recording that can be read, but holds no frame of the range."""


class Source(Protocol):
    """A file, a folder, a camera or a stream."""

    @property
    def live(self) -> bool:
        """True if it goes on whether or not anybody reads: its frames are dropped rather than kept waiting."""

    def open(self) -> Begin | None:
        """What the source is, told by its first frame; None if reading was stopped before there was one.

        Raises:
            SourceError: no frame of it can be read.
        """

    def read(self) -> Iterator[Frame]:
        """The frames, in the order in which they are shown.

        Raises:
            SourceError: it cannot be read on.
        """

    def state(self) -> bytes:
        """What a source of the same spec needs to go on after the last frame that was given: `SourceSpec.states`."""

    def end(self, problem: str = "") -> End:
        """How it went, said after the last frame or after a SourceError, whose text is the problem."""

    def close(self) -> None:
        """Release what was opened; also after a failed `open`."""


class Live(Source, Protocol):
    """A source that says how it is."""

    @property
    def status(self) -> Status:
        """How it is now; asked from another thread than the one that reads."""


class Recording(ABC):
    """What files and image folders share: a range, a clock, counts; opened by decoding the first frame."""

    live = False

    def __init__(self, spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> None:
        self.spec, self.settings = spec, settings
        self.start_s = settings.start_s if spec.start_s is None else spec.start_s
        self.end_s = settings.end_s if spec.end_s is None else spec.end_s
        self.clock = Clock(settings.assumed_fps)
        self.frames = 0
        self.stopped = False
        self._stop = stop
        self._tones = ToneMap()
        self._first: Frame | None = None

    def open(self) -> Begin | None:
        self._frames = self.decoded()
        self._first = next(self._frames, None)
        if self._first is None and not self.stopped:
            raise NoFrames(f"{self.spec.label}: {self.why_empty()}")
        return None if self._first is None else self.begin(self._first)

    def read(self) -> Iterator[Frame]:
        if self._first is not None:
            first, self._first = self._first, None
            yield first
            yield from self._frames

    @abstractmethod
    def state(self) -> bytes:
        """As `Source.state`."""

    @abstractmethod
    def decoded(self) -> Iterator[Frame]:
        """Frames of the range, or those after `spec.states`, until `stop()`; a SourceError: it cannot be opened."""

    @abstractmethod
    def begin(self, first: Frame) -> Begin:
        """What the source is, given its first frame."""

    @abstractmethod
    def why_empty(self) -> str:
        """Why there is no frame."""

    @property
    def has_range(self) -> bool:
        """True if only a part is to be read."""
        return bool(self.start_s) or self.end_s is not None

    @property
    def next_is_poison(self) -> bool:
        """Whether stages have died on the frame that is given next."""
        return self.frames in self.spec.poison

    def stop(self) -> bool:
        """Whether reading is to stop."""
        self.stopped = self.stopped or self._stop()
        return self.stopped

    def frame(self, picture: VideoFrame, pts_ns: int, flags: tuple[str, ...], aspect: tuple[int, int]) -> Frame:
        """The next frame.

        Args:
            picture: as decoded.
            pts_ns: when it is shown.
            flags: what its time earned; damage is added here.
            aspect: width to height of a stored pixel.
        """
        is_poison = self.next_is_poison
        way = orientation(picture)
        array = upright_rgb(picture, way, self._tones)
        height, width, _ = array.shape
        self.frames += 1
        return Frame(
            source=self.spec.name,
            epoch=self.clock.epoch,
            index=self.frames - 1,
            pts_ns=pts_ns,
            captured_ns=time.monotonic_ns(),
            wall_ns=time.time_ns(),
            width=width,
            height=height,
            pixels=Pixels(array),
            flags=(*flags, *(["damaged"] if picture.is_corrupt else ()), *(["error"] if is_poison else ())),
            pixel_aspect=pixel_aspect(aspect, way),
        )
