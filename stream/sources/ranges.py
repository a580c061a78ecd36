"""A video file as ranges of frames that can be decoded each by itself, from the key frame before it."""

from __future__ import annotations

from itertools import pairwise

import av
from msgspec import Struct

from configs.sources import DecodeSettings
from stream.arrays import pack
from stream.messages import SourceSpec
from stream.sources.clock import ClockState
from stream.sources.container import open_container, video_stream
from stream.sources.file import FileState
from stream.sources.timestamps import Timestamps


class FrameRange(Struct, frozen=True):
    """Frames of a file in a row."""

    first: int
    """Index of the first one."""
    frames: int
    state: bytes
    """What `SourceSpec.states["decode"]` takes to begin there; empty: the file's beginning."""
    end_s: float | None
    """What `SourceSpec.end_s` takes to end there; None: as the source says."""


def frame_ranges(spec: SourceSpec, settings: DecodeSettings, every: int, count_max: int) -> list[FrameRange]:
    """A file's frames in ranges; empty where its packets do not tell which frames it has.

    Reads all packets and decodes none.

    Args:
        spec: a file.
        settings: range and limits.
        every: the length of all but the last is a multiple of it, so that batches end where they would in one run.
        count_max: ranges at most.

    Raises:
        SourceError: it cannot be opened.
    """
    container = open_container(spec.path, spec.label, settings.frame_pixels_max)
    try:
        stream = video_stream(container, spec.path, spec.label, settings.frame_pixels_max)
        times = Timestamps(container, stream)
        base = stream.time_base
        try:
            given = [packet.pts for packet in container.demux(stream) if packet.size]
        except av.FFmpegError:
            return []
    finally:
        container.close()
    pts = sorted(each for each in given if each is not None)
    if not times.unique or base is None or len(set(pts)) < len(given):
        return []
    start_s = settings.start_s if spec.start_s is None else spec.start_s
    end_s = settings.end_s if spec.end_s is None else spec.end_s
    marks = [(tick, round(tick * base * 1_000_000_000)) for tick in pts]
    origin_ns = times.origin_ns
    inside = [(tick, ns) for tick, ns in marks if _is_inside((ns - origin_ns) / 1e9, start_s, end_s)]
    return [
        FrameRange(
            first,
            after - first,
            _state(first, *inside[first - 1]) if first else b"",
            (inside[after][1] - origin_ns) / 1e9 if after < len(inside) else end_s,
        )
        for first, after in pairwise(_bounds(len(inside), every, count_max))
    ]


def _is_inside(at_s: float, start_s: float, end_s: float | None) -> bool:
    """As `FileSource` decides it."""
    return at_s >= start_s - 1e-6 and (end_s is None or at_s < end_s - 1e-6)


def _bounds(frames: int, every: int, count_max: int) -> list[int]:
    """First frame of each range, and how many frames there are."""
    cuts = -(-frames // every)
    step = every * max(1, -(-cuts // count_max))
    return [*range(0, frames, step), frames]


def _state(frames: int, pts: int, ns: int) -> bytes:
    """Where the reading stands after a frame: what `FileSource.state` gives there."""
    return pack(FileState(frames, ClockState(ns, None, 0), pts, ns, 0, 0))
