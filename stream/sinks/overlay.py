"""The overlay of a recording, encoded in segments that are joined at its end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from msgspec import Struct, structs

from configs.errors import OutputError
from stream.arrays import pack, unpack
from stream.messages import Begin, Frame
from stream.sinks.codecs import Encoding
from stream.sinks.encoder import Encoder, Shape, ticks, video_writing
from stream.sinks.join import AT, join
from stream.sinks.output import SEGMENTS, finish, part_of
from stream.sinks.timeline import Timeline

_LAST_NS_MAX = 10_000_000_000  # a longer rest is more likely sound without a picture


class _State(Struct, frozen=True):
    """Where it stands between two segments."""

    segments: int
    shape: Shape
    timeline: Timeline
    encoder: str


class Overlay:
    """One overlay under way; nothing is written before its first frame.

    Each segment is a file with an encoder of its own, so that another run can go on after any of them: the
    video is the same whether or not one did. A segment that is not committed yet does not last.
    """

    def __init__(self, begin: Begin, encoding: Encoding, segment_frames: int) -> None:
        """Take note of what is to be written.

        Args:
            begin: of the source.
            encoding: codec and quality.
            segment_frames: how many frames a segment has at most; 0: all of them.
        """
        self._begin = structs.replace(begin, sound=begin.sound and encoding.video.audio)
        self._encoding, self._segment_frames = encoding, segment_frames
        self._path = Path(begin.spec.folder) / "overlay.mp4"
        self._folder = self._path.parent / SEGMENTS
        self._shape: Shape | None = None
        self._timeline = Timeline(0, 0, round(1e9 / begin.fps))
        self._segments = 0
        """How many are committed."""
        self._open: _Segment | None = None
        self._held: tuple[VideoFrame, int] | None = None

    def write(self, frame: Frame) -> None:
        """Add a frame; it is encoded when the next one tells how long it is shown."""
        if self._shape is None:
            self._shape = Shape.of(frame, self._encoding.codec)
            self._timeline = Timeline(frame.pts_ns, frame.pts_ns, self._timeline.step_ns)
        at_ns = self._timeline.place(frame.pts_ns)
        if self._held is not None:
            self._encode(at_ns - self._held[1])
        if self._open is None:
            self._open = _Segment(self._segment(self._segments), self._path, at_ns)
            self._open.begin(self._begin, self._shape, self._encoding, self._segment_frames)
        self._held = self._open.encoder.picture(frame.picture), at_ns  # a copy: the pixels may be overwritten soon

    def commit(self) -> None:
        """End the segment: it lasts."""
        if self._open is None:
            return
        self._close_segment(self._timeline.step_ns)
        finish(self._segment(self._segments))
        self._segments += 1

    def state(self) -> bytes:
        """What another run needs to go on after the last commit; empty before the first frame."""
        if self._shape is None:
            return b""
        return pack(_State(self._segments, self._shape, self._timeline, self._encoding.encoder))

    def restore(self, state: bytes) -> None:
        """Go on after the commit that a state was taken at.

        Raises:
            OutputError: a committed segment is gone, or was written by an encoder that is not to be had.
        """
        was = unpack(state, _State)
        if was.encoder != self._encoding.encoder:
            raise OutputError(
                f"{self._path} was begun by the encoder {was.encoder}, which is not to be had any more; "
                "--overwrite begins anew"
            )
        self._segments, self._shape, self._timeline = was.segments, was.shape, structs.replace(was.timeline)
        for number in range(was.segments):
            if not (path := self._segment(number)).is_file():
                raise OutputError(f"{path} is gone, without which the run cannot go on; --overwrite begins anew")

    def finish(self, whole: bool) -> None:
        """Join all segments to the video, which takes its name; whole: the source was read to its end."""
        if self._shape is None:
            return
        last_ns = self._last_ns() if whole else self._timeline.step_ns
        count = self._segments
        try:
            if self._open is not None:
                self._close_segment(last_ns)
                finish(self._segment(count), lasting=False)
                count += 1
            paths = [self._segment(number) for number in range(count)]
            first_ns, sound_end_ns = self._timeline.first_ns, self._sound_end_ns(whole, last_ns)
            join(paths, self._path, self._begin, first_ns, last_ns, sound_end_ns)
            finish(self._path)
        finally:
            part_of(self._path).unlink(missing_ok=True)
            self.abandon()

    def abandon(self) -> None:
        """Leave the committed segments and nothing else."""
        if self._open is not None:
            self._open.abandon()
        self._open = None
        under_way = self._segment(self._segments)
        for path in (under_way, part_of(under_way)):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # others are committed
            self._folder.rmdir()

    def _segment(self, number: int) -> Path:
        return self._folder / f"overlay-{number:06}.mp4"

    def _encode(self, shown_ns: int) -> None:
        assert self._open is not None
        assert self._held is not None
        (picture, at_ns), self._held = self._held, None
        self._open.encode(picture, at_ns, shown_ns)

    def _close_segment(self, shown_ns: int) -> None:
        """Close the segment's file, its last frame shown for so long."""
        assert self._open is not None
        self._encode(shown_ns)
        self._open.close()
        self._open = None

    def _sound_end_ns(self, whole: bool, last_ns: int) -> int | None:
        """Up to when there is sound, on the source's clock; None: to its own end."""
        if not whole:
            return (self._timeline.last_ns or 0) + last_ns
        return None if self._begin.end_s is None else self._begin.end_ns

    def _last_ns(self) -> int:
        """How long the last frame is shown: to the source's end."""
        rest_ns = (self._begin.end_ns or 0) - (self._timeline.last_ns or 0)
        return rest_ns if self._timeline.is_unbroken and 0 < rest_ns < _LAST_NS_MAX else self._timeline.step_ns


class _Segment:
    """The file of one segment."""

    def __init__(self, path: Path, overlay: Path, at_ns: int) -> None:
        """Open it.

        Args:
            path: of the segment.
            overlay: what errors call it.
            at_ns: when its first frame is shown, after the overlay's beginning.
        """
        self._overlay, self._at_ns = overlay, at_ns
        with video_writing(overlay):
            path.parent.mkdir(exist_ok=True)
            self._out: OutputContainer = av.open(f"file:{part_of(path)}", "w", format="mp4")
            self._out.metadata[AT] = str(ticks(at_ns))

    def begin(self, begin: Begin, shape: Shape, encoding: Encoding, frames: int) -> None:
        """Begin to encode; so many frames have one key frame."""
        try:
            with video_writing(self._overlay):
                self.encoder = Encoder(self._out, begin, shape, encoding, frames or None, repeatable=True)
        except BaseException:
            self.abandon()
            raise

    def encode(self, picture: VideoFrame, at_ns: int, shown_ns: int) -> None:
        """Add a picture, which is shown so long after the overlay's beginning and for so long."""
        with video_writing(self._overlay):
            self.encoder.encode(picture, ticks(at_ns) - ticks(self._at_ns), ticks(shown_ns))

    def close(self) -> None:
        """Write all of it."""
        with video_writing(self._overlay):
            self.encoder.finish()
            self._out.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with suppress(av.FFmpegError, OSError):  # that is why it is abandoned
            self._out.close()
