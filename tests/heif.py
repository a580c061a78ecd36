"""Still pictures in HEIF made in tests: AVIF and HEIC, whole or in tiles, as phones write them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_heif(path: Path, tiles: Sequence[np.ndarray], columns: int = 1, codec: str = "libsvtav1") -> Path:
    """Write a picture, or one put together from tiles of one size, row by row.

    Source: ISO/IEC 23008-12, sections 6 and 9.
    """
    coded = [_coded(tile, path.with_name("tile.mp4"), codec) for tile in tiles]
    height, width, _ = tiles[0].shape
    count, rows = len(tiles), len(tiles) // columns
    kind, brand = (b"av01", b"avif") if codec == "libsvtav1" else (b"hvc1", b"heic")
    items = [kind] * count + ([b"grid"] if count > 1 else [])
    data = [sample for _, sample in coded]
    properties = [coded[0][0], _box(b"ispe", struct.pack(">III", 0, width, height))]
    if count > 1:
        size = width * columns, height * rows
        data.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *size))
        properties.append(_box(b"ispe", struct.pack(">III", 0, *size)))
    head = _box(b"ftyp", brand + bytes(4) + brand + b"mif1")
    empty = _meta(items, data, properties, 0)
    path.write_bytes(head + _meta(items, data, properties, len(head) + len(empty) + 8) + _box(b"mdat", b"".join(data)))
    return path


def _coded(tile: np.ndarray, scratch: Path, codec: str) -> tuple[bytes, bytes]:
    """The box that configures the decoder, and the coded picture."""
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"svtav1-params": "avif=0"}
    with av.open(scratch, "w", format="mp4") as out:
        stream = out.add_stream(codec, rate=1, options=options)
        stream.height, stream.width = tile.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.max_b_frames = 0
        frame = av.VideoFrame.from_ndarray(tile, "rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(scratch) as made:
        sample = bytes(next(made.demux(video=0)))
    whole = scratch.read_bytes()
    scratch.unlink()
    at = whole.index(b"hvcC" if codec == "libx265" else b"av1C") - 4
    return whole[at : at + int.from_bytes(whole[at : at + 4], "big")], sample


def _meta(items: Sequence[bytes], data: Sequence[bytes], properties: Sequence[bytes], at: int) -> bytes:
    """The box that says what is where; the data begin at a position of the file."""
    count, whole = len(items), len(items)  # the last item is the picture
    entries = b"".join(
        _box(b"infe", struct.pack(">IHH", 2 << 24, n + 1, 0) + kind + b"\0") for n, kind in enumerate(items)
    )
    tiles = range(1, count) if count > 1 else ()
    reference = _box(b"dimg", struct.pack(f">HH{len(tiles)}H", whole, len(tiles), *tiles)) if tiles else b""
    uses = b"".join(
        struct.pack(">HB", n + 1, 1) + b"\x03" if kind == b"grid" else struct.pack(">HB", n + 1, 2) + b"\x81\x02"
        for n, kind in enumerate(items)
    )
    places = b""
    for n, item in enumerate(data):
        places += struct.pack(">HHHII", n + 1, 0, 1, at, len(item))
        at += len(item)
    return _box(
        b"meta",
        bytes(4)
        + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        + _box(b"pitm", struct.pack(">IH", 0, whole))
        + _box(b"iloc", struct.pack(">IHH", 0, 0x4400, count) + places)
        + _box(b"iinf", struct.pack(">IH", 0, count) + entries)
        + (_box(b"iref", bytes(4) + reference) if reference else b"")
        + _box(b"iprp", _box(b"ipco", b"".join(properties)) + _box(b"ipma", struct.pack(">II", 0, count) + uses)),
    )


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body
