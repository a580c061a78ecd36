"""The sink that writes overlay.mp4: at the source's times, with the source's sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from configs.video import VideoSettings
from stream.messages import Begin, Cut, End, Frame, Message, Tracks
from stream.sinks.codecs import Encoding
from stream.sinks.live_overlay import LiveOverlay
from stream.sinks.overlay import Overlay
from stream.sinks.segments import Segments
from stream.stage import Stage


class VideoSink(Stage):
    """Frames or tracks in and on; `overlay.mp4` in each source's folder.

    It appears when the source has ended; a source without frames leaves none. The first frame's time is the video's
    start, its size and pixel shape are the video's; sides beyond what the codec allows are scaled down. At each cut of
    a recording what was encoded is committed. The overlay of a live source has its name from the start, can be played
    at any time, and may be cut into several files.
    """

    def __init__(self, video: VideoSettings, segment_frames: int = 0) -> None:
        """Take note of what is to be written.

        Args:
            video: settings.
            segment_frames: how many frames of a recording are between two cuts; 0: there are none.
        """
        self._encoding, self._segment_frames = Encoding.of(video), segment_frames
        self.notes = [self._encoding.note] if self._encoding.note else []
        self._overlays: dict[str, Overlay] = {}
        self._live: dict[str, _LiveOverlays] = {}

    def process(self, message: Message) -> Iterator[Message]:
        self._take(message)
        yield message

    def snapshot(self, source: str) -> bytes:
        return self._overlays[source].state() if source in self._overlays else b""

    def restore(self, source: str, state: bytes) -> None:
        self._overlays[source].restore(state)

    def _take(self, message: Message) -> None:
        match message:
            case Begin(live=True):
                self._live[message.spec.name] = _LiveOverlays(message, self._encoding)
            case Begin():
                self._overlays[message.spec.name] = Overlay(message, self._encoding, self._segment_frames)
            case Frame() | Tracks():
                frame = message if isinstance(message, Frame) else message.frame
                (self._live if frame.source in self._live else self._overlays)[frame.source].write(frame)
            case Cut() if message.source in self._overlays:
                self._overlays[message.source].commit()
            case End():
                if live := self._live.pop(message.source, None):
                    live.finish()
                if overlay := self._overlays.pop(message.source, None):
                    overlay.finish(whole=not message.stopped and not message.problem)

    def flush(self) -> Iterable[Message]:
        for source in list(self._live):
            self._live.pop(source).finish()
        for source in list(self._overlays):
            self._overlays.pop(source).finish(whole=False)
        return ()

    def close(self) -> None:
        for live in self._live.values():
            live.abandon()
        for overlay in self._overlays.values():
            overlay.abandon()


class _LiveOverlays:
    """The files of one live source, one after another."""

    def __init__(self, begin: Begin, encoding: Encoding) -> None:
        self._begin, self._encoding = begin, encoding
        self._segments = Segments(begin, encoding.video)
        self._open: LiveOverlay | None = None

    def write(self, frame: Frame) -> None:
        """Add a frame, to another file where it is time for one."""
        if self._open is not None and self._segments.is_over(frame):
            self.finish()
        if self._open is None:
            self._open = LiveOverlay(self._segments.next(frame), self._begin, frame, self._encoding)
        self._open.write(frame)

    def finish(self) -> None:
        """Close the file at hand."""
        if self._open is not None:
            self._open.finish()
        self._open = None

    def abandon(self) -> None:
        """Close the file at hand as it is."""
        if self._open is not None:
            self._open.abandon()
