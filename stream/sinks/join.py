"""Segments of an overlay to one video with the source's sound; nothing is encoded again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from pathlib import Path

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from stream.messages import Begin
from stream.sinks.encoder import TIME_BASE, ticks, video_writing
from stream.sinks.output import part_of
from stream.sinks.sound import Sound

_REORDERED_MAX = 16  # frames between a packet's place and its frame's, by H.264

AT = "comment"
"""In a segment's metadata: the tick at which its first frame is shown in the video."""


def join(
    paths: Sequence[Path], path: Path, begin: Begin, first_ns: int, last_ns: int, sound_end_ns: int | None
) -> None:
    """Write the video's part file.

    Args:
        paths: the segments, in order.
        path: of the video, under its final name.
        begin: of the source; its `sound` says whether the video gets the source's.
        first_ns: time of the first frame, on the source's clock.
        last_ns: how long the last frame is shown.
        sound_end_ns: when the sound ends, on the source's clock; None: at its own end.

    Raises:
        OutputError: the disk refuses, or a segment is damaged.
    """
    options = {"movflags": "+faststart"}
    with video_writing(path), av.open(f"file:{part_of(path)}", "w", format="mp4", options=options) as out:
        with av.open(f"file:{paths[0]}") as segment:
            # opaque: for copying no encoder is needed
            stream = out.add_stream_from_template(segment.streams.video[0], opaque=True)
            stream.codec_context.codec_tag = segment.streams.video[0].codec_context.codec_tag
        stream.time_base = TIME_BASE
        sound = Sound.of(begin.spec.path, out, first_ns, seek=bool(begin.start_s)) if begin.sound else None
        try:
            _write(out, stream, paths, ticks(last_ns), sound, first_ns)
            if sound is not None:
                sound.write(sound_end_ns)
        finally:
            if sound is not None:
                sound.close()


def _write(
    out: OutputContainer, stream: VideoStream, paths: Sequence[Path], last: int, sound: Sound | None, first_ns: int
) -> None:
    """Write all packets, and the sound beside them; the last one lasts to the video's end."""
    held: deque[Packet[VideoStream]] = deque()
    first_dts = None
    for packet in _packets(paths):
        assert packet.dts is not None
        first_dts = packet.dts if first_dts is None else first_dts
        if sound is not None:
            sound.write(first_ns + round(packet.dts * TIME_BASE * 10**9))
        packet.stream = stream
        held.append(packet)
        if len(held) > _REORDERED_MAX:
            out.mux(held.popleft())
    _lengthen(held, first_dts or 0, last)
    for packet in held:
        out.mux(packet)


def _lengthen(held: Sequence[Packet[VideoStream]], first_dts: int, last: int) -> None:
    """Let the last shown of the last packets last so long, and the last decoded up to the same moment."""
    shown = max(held, key=lambda packet: packet.pts or 0)
    shown.duration = last
    end, decoded = (shown.pts or 0) + last, held[-1]
    decoded.duration = max(end - (decoded.dts or 0) + first_dts, 1)


def _packets(paths: Sequence[Path]) -> Iterator[Packet[VideoStream]]:
    """Packets of all segments, in the order of decoding, their times the video's.

    A frame is decoded when the frame before it by as many as are reordered is shown. Each segment says so of its own
    frames; across segments it is found anew, for the frames of two may be differently far apart.
    """
    shown: list[int] = []
    begun = False
    for path in paths:
        with av.open(f"file:{path}", options={"ignore_editlist": "1"}) as segment:
            at, moved = int(segment.metadata[AT]), None
            for packet in segment.demux(segment.streams.video[0]):
                if packet.pts is None or packet.dts is None:  # the end
                    continue
                moved = at - packet.pts if moved is None else moved  # the first one is a key frame and shown first
                packet.pts, packet.dts = packet.pts + moved, packet.dts + moved
                heappush(shown, packet.pts)
                begun = begun or packet.dts >= at
                if begun:
                    packet.dts = heappop(shown)
                yield packet
