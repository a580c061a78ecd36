"""When a decoded picture is shown, by its container."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_NO_TIMESTAMPS = 0x80  # of FFmpeg's format flags
_DTS_ONLY = {"avi"}
_INDEXED = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}


class Timestamps:
    """Presentation times of a stream's pictures, in ticks of its time base.

    A raw stream has none. AVI holds decoding times alone, and FFmpeg's guess from them is wrong where H.264 has
    B-frames; a picture is shown when it leaves the decoder, at the decoding time of the packet that drove it out.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.known = bool(stream.time_base) and not container.format.flags & _NO_TIMESTAMPS
        """False: the source has no clock."""
        self.dts_only = self.known and container.format.name in _DTS_ONLY
        """True: only the first picture tells where the clock begins; see `begin`."""
        self.unique = self.known and container.format.name in _INDEXED
        """True: no time comes twice, and a seek finds it. Two transport streams in one file have every time twice."""
        self._ns = (stream.time_base or 0) * 10**9  # a tick
        self._start = stream.start_time or 0
        self._origin = self._start if self.known else 0
        self._last: int | None = None

    @property
    def origin_ns(self) -> int:
        """When the source begins; `--start` and `--end` count from there."""
        return round(self._origin * self._ns)

    def begin(self, first: VideoFrame | None) -> None:
        """Take the time of the source's first picture as its beginning."""
        if self.dts_only and first is not None:
            self._origin = self._start if first.dts is None else first.dts
            self._last = self._origin

    def of(self, picture: VideoFrame) -> int | None:
        """When the next picture is shown; None if unknown."""
        if not self.dts_only:
            return picture.pts if self.known else None
        if self._last is None:
            self.begin(picture)
        elif picture.dts is None:  # what the decoder still held at the end: AVI's ticks are frames
            self._last += 1
        else:
            self._last = picture.dts
        return self._last

    def seek_target(self, at_s: float) -> int:
        """The tick to seek, at_s seconds after the beginning."""
        return self._start + int(at_s * 1e9 / self._ns)

    def tick_before(self, tick: int, back_s: float) -> int:
        """The tick so long before another one."""
        return tick - int(back_s * 1e9 / self._ns)

    def is_early(self, picture: VideoFrame, at_s: float) -> bool:
        """Whether a picture is shown at or before at_s seconds after the beginning."""
        pts = picture.dts if self.dts_only else picture.pts
        return pts is not None and (pts - self._origin) * self._ns <= at_s * 1e9

    def restart(self) -> None:
        """The pictures come from the beginning again."""
        self._last = None


_JOINABLE = {"mpegts", "mpeg"}
"""Formats of which files can be joined end to end, so that the clock starts anew within one."""
_PLACES = 16  # of a file at which its clock is looked at


def clock_restarts(container: InputContainer, stream: VideoStream) -> bool:
    """Whether the stream's times start anew somewhere: then a time has more than one place and no seek can be trusted.

    Looks at places spread over the file, within a millisecond; leaves the container somewhere in it.
    """
    if container.format.name not in _JOINABLE:
        return False
    last_pos, last_dts = -1, None
    for number in range(_PLACES):
        try:
            container.seek(container.size * number // _PLACES, unsupported_byte_offset=True)
            packet = next((packet for packet in container.demux(stream) if packet.dts is not None), None)
        except av.FFmpegError:
            return False
        if packet is None or packet.pos is None or packet.dts is None or packet.pos <= last_pos:
            continue
        if last_dts is not None and packet.dts <= last_dts:
            return True
        last_pos, last_dts = packet.pos, packet.dts
    return False
