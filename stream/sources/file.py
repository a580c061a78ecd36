"""A video file as a source."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from msgspec import Struct

from stream.arrays import pack, unpack
from stream.messages import Begin, End, Frame
from stream.sources.clock import Clock, ClockState, frame_rate
from stream.sources.container import bit_rate, length_s, open_container, stored_aspect, video_stream
from stream.sources.source import Recording
from stream.sources.timestamps import Timestamps, clock_restarts

_ERRORS_MAX = 1000  # in a row, without a frame in between
_SEEK_BACK_S = (0.0, 5.0, 20.0)  # a seek may miss: an index may be wrong, a transport stream has none
_MISSING_S = 0.25, 1.0  # by so much a file may be shorter than it says, if it counts its frames and if not


class FileState(Struct, frozen=True):
    """Where the reading of a file stands, after a frame."""

    frames: int
    clock: ClockState
    pts: int | None
    """Of that frame, in ticks of the stream's time base."""
    reached_ns: int
    marked: int
    failed: int


class FileSource(Recording):
    """A video file, from `start_s` to `end_s`.

    What cannot be decoded is left out and counted, what could be only in part is flagged "damaged" and counted too.
    """

    _container: InputContainer | None = None
    _stream: VideoStream
    _times: Timestamps
    _fps: float
    _reached_ns = 0
    """When the last frame so far has been shown."""
    _pts: int | None = None
    _marked = _failed = 0
    """Packets that the container marks as damaged; packets and frames that the decoder could not read, or in part."""

    def decoded(self) -> Iterator[Frame]:
        self._reopen()
        self._times = Timestamps(self._opened, self._stream)
        rate = frame_rate(self._stream.average_rate, self._stream.guessed_rate) if self._times.known else None
        self._fps = rate or self.settings.assumed_fps
        self.clock = Clock(self._fps)
        state = self.spec.states.get("decode")
        yield from self._continued(unpack(state, FileState)) if state else self._in_range()

    def state(self) -> bytes:
        clock = self.clock.state()
        return pack(FileState(self.frames, clock, self._pts, self._reached_ns, self._marked, self._failed))

    def end(self, problem: str = "") -> End:
        return End(self.spec.name, self.frames, self.damaged, self.stopped, problem or self._truncation())

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None

    @property
    def damaged(self) -> int:
        """Packets or frames that are damaged: a packet that is marked and its frame are one."""
        return max(self._marked, self._failed)

    @property
    def _opened(self) -> InputContainer:
        assert self._container is not None
        return self._container

    def _reopen(self) -> None:
        """Open the file, from its beginning."""
        self.close()
        path, label, pixels_max = self.spec.path, self.spec.label, self.settings.frame_pixels_max
        self._container = open_container(path, label, pixels_max)
        self._stream = video_stream(self._container, path, label, pixels_max)

    def _in_range(self) -> Iterator[Frame]:
        """Frames from `start_s` on and before `end_s`."""
        return self._given(self._seek_start() if self.start_s and self._times.known else self._pictures())

    def _continued(self, state: FileState) -> Iterator[Frame]:
        """Frames after that of a state; where no seek leads there, all before it are decoded again."""
        pictures = self._seek_after(state)
        if pictures is None:
            self._reopen()
            self._times.restart()
            return islice(self._in_range(), state.frames, None)
        self.frames, self._reached_ns = state.frames, state.reached_ns
        self._marked, self._failed = state.marked, state.failed
        self.clock.restore(state.clock)
        return self._given(pictures, reached=True)

    def _seek_after(self, state: FileState) -> Iterator[VideoFrame] | None:
        """Pictures after that of a state; None where seeking does not lead to it."""
        if state.pts is None or state.clock.epoch or not self._times.unique:
            return None
        for back_s in _SEEK_BACK_S:
            try:
                self._opened.seek(self._times.tick_before(state.pts, back_s), stream=self._stream)
            except av.FFmpegError:
                continue
            pictures = self._pictures()
            for picture in pictures:
                if picture.pts == state.pts:
                    return pictures
                if picture.is_corrupt or picture.pts is None or picture.pts > state.pts:
                    break
        return None

    def _given(self, pictures: Iterator[VideoFrame], reached: bool = False) -> Iterator[Frame]:
        """Frames of pictures, from the first at or after `start_s`; `reached`: that one was before."""
        aspect, base = stored_aspect(self._opened, self._stream), self._stream.time_base
        for picture in pictures:
            pts_ns, flags = self.clock.time(self._times.of(picture), base, (picture.width, picture.height))
            at_s = (pts_ns - self._times.origin_ns) / 1e9
            if self.end_s is not None and at_s >= self.end_s - 1e-6:
                return
            reached = reached or at_s >= self.start_s - 1e-6  # a clock that starts anew does not take it back
            if reached:
                self._failed += picture.is_corrupt or self.next_is_poison
                shown_ns = round(picture.duration * (picture.time_base or 0) * 10**9 or 1e9 / self._fps)
                self._reached_ns, self._pts = pts_ns + shown_ns, picture.pts
                yield self.frame(picture, pts_ns, flags, aspect)

    def _seek_start(self) -> Iterator[VideoFrame]:
        """Pictures from a key frame at or before `start_s`; from the beginning where no seek leads to one."""
        if self._times.dts_only:
            self._times.begin(next(self._pictures(), None))
        for back_s in () if clock_restarts(self._opened, self._stream) else _SEEK_BACK_S:
            self._marked = self._failed = 0
            try:
                self._opened.seek(self._times.seek_target(self.start_s - back_s), stream=self._stream)
            except av.FFmpegError:
                continue
            pictures = self._pictures()
            first = next(pictures, None)
            if self.stopped or (first is not None and self._times.is_early(first, self.start_s)):
                return pictures if first is None else chain([first], pictures)
        self._marked = self._failed = 0
        self._reopen()
        self._times.restart()
        return self._pictures()

    def _pictures(self) -> Iterator[VideoFrame]:
        """Decode packet by packet, so that a bad one costs no more than itself."""
        errors = 0
        packets = self._opened.demux(self._stream)
        while errors < _ERRORS_MAX and not self.stop():
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                self._marked += packet.is_corrupt
                pictures = packet.decode()
            except av.EOFError:
                return
            except av.FFmpegError:
                errors += 1
                self._failed += 1
                packets = self._opened.demux(self._stream)  # an error has ended the old one
                continue
            for picture in pictures:
                errors = 0
                yield picture

    def begin(self, first: Frame) -> Begin:
        container, stream = self._opened, self._stream
        whole_s = length_s(container, stream) or (container.duration or 0) / av.time_base
        end_s = min(whole_s, self.end_s or whole_s) if whole_s else None
        duration_s = None if end_s is None else max(end_s - self.start_s, 0.0)
        expected = round(duration_s * self._fps) if duration_s else None
        return Begin(
            spec=self.spec,
            width=first.width,
            height=first.height,
            fps=self._fps,
            frames=stream.frames if stream.frames and not self.has_range else expected,
            duration_s=duration_s,
            bit_rate=bit_rate(container, stream),
            start_s=self.start_s,
            end_s=self.end_s,
            end_ns=None if end_s is None else self._times.origin_ns + round(end_s * 1e9),
            sound=bool(container.streams.audio),
            pixel_aspect=first.pixel_aspect,
        )

    def why_empty(self) -> str:
        if not self.damaged:
            return "no frame lies between --start and --end" if self.has_range else "holds no frame"
        large = "" if self._stream.width else f", or each has more than {self.settings.frame_pixels_max} pixels"
        return f"no frame of its {self._stream.codec_context.name} video can be decoded{large}"

    def _truncation(self) -> str:
        """Why the file is shorter than its header says; empty if it is complete."""
        if self.stopped or not self.frames or self._container is None:
            return ""
        stream, ns = self._stream, self._reached_ns
        said_s, reached_s = length_s(self._opened, stream), max(ns, ns - self._times.origin_ns) / 1e9
        missing_s, allowed_s = (said_s or 0) - reached_s, _MISSING_S[not stream.frames]
        whole = self.end_s is not None or self.clock.epoch or missing_s < allowed_s
        if self.frames < stream.frames and not self.has_range and (self.damaged or not whole):
            return f"{self.spec.label}: damaged: {self.frames} of {stream.frames} frames could be read"
        return "" if whole else f"{self.spec.label}: ends after {reached_s:.1f} of {said_s:.1f} s: it was cut off"
