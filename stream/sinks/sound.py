"""The source's sound for the overlay: all its tracks, moved to the overlay's start."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

_MP4_CODECS = {"aac", "ac3", "alac", "eac3", "flac", "mp2", "mp3", "opus"}
_AAC_RATES = {48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000}
_NS = 1_000_000_000
_SEEK_EARLY_US = 500_000  # a seek may land late by a packet or two


class Sound:
    """The sound of a file, track by track: as it is where MP4 can hold it, else as AAC."""

    def __init__(self, source: InputContainer, out: OutputContainer, tracks: list[_Track], origin_ns: int) -> None:
        self._source, self._tracks = source, {track.stream.index: track for track in tracks}
        self._out = out
        self._origin_ns = origin_ns
        self._read = self._moved()
        self._next: Packet[AudioStream] | None = None

    @classmethod
    def of(cls, path: str, out: OutputContainer, origin_ns: int, seek: bool) -> Sound | None:
        """The sound of a file; None where it has none that can be read.

        Args:
            path: of the file.
            out: gets a stream for each track.
            origin_ns: time of the source at which `out` begins.
            seek: go there first, rather than read all that comes before.
        """
        try:
            source = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="ignore")
        except (av.FFmpegError, OSError):  # the video was read: sound alone is not worth an error
            return None
        try:
            if seek:
                source.seek(max(origin_ns // 1000 - _SEEK_EARLY_US, 0))
        except av.FFmpegError:  # then all that comes before is read
            pass
        best = source.streams.best("audio")
        streams = sorted(source.streams.audio, key=lambda stream: stream is not best)  # players take the first
        if tracks := [track for stream in streams if (track := _Track.of(stream, out, origin_ns))]:
            return cls(source, out, tracks, origin_ns)
        source.close()
        return None

    def write(self, until_ns: int | None) -> None:
        """Write what is heard before a time of the source, in nanoseconds; None: all that is left.

        Sound that MP4 does not take is given up.
        """
        try:
            for packet in self._packets(until_ns):
                self._out.mux(packet)
        except (av.ArgumentError, av.InvalidDataError):
            self._read, self._next = iter(()), None

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _packets(self, until_ns: int | None) -> Iterator[Packet[AudioStream]]:
        while packet := self._next or next(self._read, None):
            self._next = packet
            assert packet.pts is not None
            if until_ns is not None and packet.pts * packet.time_base * _NS + self._origin_ns >= until_ns:
                return
            self._next = None
            yield packet

    def _moved(self) -> Iterator[Packet[AudioStream]]:
        """Packets of all tracks, in the file's order; a damaged file ends them."""
        try:
            for packet in self._source.demux(tuple(track.stream for track in self._tracks.values())):
                yield from self._tracks[packet.stream.index].moved(packet)
        except av.FFmpegError:
            return


class _Track:
    """One track on its way into the overlay."""

    def __init__(self, stream: AudioStream, out: OutputContainer, origin_ns: int) -> None:
        self.stream = stream
        self._origin_ns, self._last = origin_ns, -1
        self._resampler: av.AudioResampler | None = None
        if stream.codec_context.codec.canonical_name in _MP4_CODECS:
            self._out = out.add_stream_from_template(stream)
        else:
            rate = stream.rate if stream.rate in _AAC_RATES else 48_000
            self._out = out.add_stream("aac", rate=rate)
            self._out.layout = "mono" if stream.channels == 1 else "stereo"
            self._resampler = av.AudioResampler("fltp", self._out.layout, rate, frame_size=1024)
        for key in ("language", "title"):
            if key in stream.metadata:
                self._out.metadata[key] = stream.metadata[key]

    @classmethod
    def of(cls, stream: AudioStream, out: OutputContainer, origin_ns: int) -> _Track | None:
        """A track; None where it cannot be decoded or MP4 cannot hold it after all."""
        if stream.codec_context is None or not stream.rate:
            return None
        try:
            return cls(stream, out, origin_ns)
        except (av.FFmpegError, ValueError):
            return None

    def moved(self, packet: Packet[AudioStream]) -> Iterator[Packet[AudioStream]]:
        """What a packet becomes, times rising."""
        for moved in self._recoded(packet) if self._resampler else self._copied(packet):
            if moved.pts is not None and moved.dts is not None and moved.dts > self._last:
                self._last = moved.dts
                yield moved

    def _copied(self, packet: Packet[AudioStream]) -> Iterator[Packet[AudioStream]]:
        if packet.pts is None or packet.dts is None:
            return
        offset = round(Fraction(self._origin_ns, _NS) / packet.time_base)
        packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
        if packet.pts >= 0:
            packet.stream = self._out
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
                offset = round(Fraction(self._origin_ns, _NS) / frame.time_base)
                if frame.pts is not None and frame.pts >= offset:
                    frame.pts -= offset
                    yield from self._out.encode(frame)
        if not packet.size:
            yield from self._out.encode(None)
