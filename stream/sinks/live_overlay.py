"""The overlay of a live source: it can be played at any time, whenever the run ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame

from stream.messages import Begin, Frame
from stream.sinks.codecs import Encoding
from stream.sinks.encoder import Encoder, Shape, ticks, video_writing
from stream.sinks.sound import Sound
from stream.sinks.timeline import Timeline

_FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
"""Of MP4 that can be played whenever the run ends, up to the last key frame."""
_KEY_S = 2.0  # between key frames


class LiveOverlay:
    """One file under way."""

    def __init__(self, path: Path, begin: Begin, first: Frame, encoding: Encoding) -> None:
        self._path = path
        step_ns = round(1e9 / begin.fps)
        self._timeline = Timeline(first.pts_ns, first.pts_ns, step_ns)
        self._held: tuple[VideoFrame, int] | None = None
        self._sound: Sound | None = None
        with video_writing(path):
            self._out: OutputContainer = av.open(f"file:{path}", "w", format="mp4", options=_FRAGMENTED)
        try:
            with video_writing(path):
                key_every = max(round(_KEY_S * begin.fps), 1)
                shape = Shape.of(first, encoding.codec)
                self._encoder = Encoder(self._out, begin, shape, encoding, key_every, repeatable=False)
            if encoding.video.audio and begin.sound:
                self._sound = Sound.of(begin.spec.path, self._out, first.pts_ns, seek=bool(begin.start_s))
        except BaseException:
            self.abandon()
            raise

    def write(self, frame: Frame) -> None:
        """Add a frame; it is encoded when the next one tells how long it is shown."""
        picture = self._encoder.picture(frame.picture)  # at once: the pixels may be overwritten soon
        at_ns = self._timeline.place(frame.pts_ns)
        if self._held is not None:
            self._encode(at_ns - self._held[1])
        self._held = picture, at_ns

    def finish(self) -> None:
        """Write what is held back and close the file."""
        try:
            if self._held is not None:
                self._encode(self._timeline.step_ns)
            with video_writing(self._path):
                self._encoder.finish()
                self._out.close()
        except BaseException:
            self.abandon()
            raise
        if self._sound is not None:
            self._sound.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._sound is not None:
            self._sound.close()
        with suppress(av.FFmpegError, OSError):  # that is why it is abandoned
            self._out.close()

    def _encode(self, shown_ns: int) -> None:
        assert self._held is not None
        picture, at_ns = self._held
        with video_writing(self._path):
            if self._sound is not None:
                self._sound.write(at_ns + self._timeline.first_ns)
            self._encoder.encode(picture, ticks(at_ns), ticks(shown_ns))
