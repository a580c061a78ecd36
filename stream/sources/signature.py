"""What a file's bytes say: why it cannot be read, or would be read wrongly."""

from __future__ import annotations

import struct
from typing import IO

_WEBP_ANIMATED = 0x02  # of the flags of a VP8X chunk
_COMPRESSION, _JPEG_IN_TIFF = 259, {6, 7}  # a tag of TIFF and its values


def why_refused(path: str) -> str:
    """Why a file would come out wrong though FFmpeg opens it, with what to do; empty if it would not.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(32)
        if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20] & _WEBP_ANIMATED:
            return "an animated WebP, for which there is no decoder; convert it to GIF or MP4"
        if head[:4] in (b"II*\0", b"MM\0*") and _tiff_compression(file, head) in _JPEG_IN_TIFF:
            return "a TIFF with JPEG inside, for which there is no decoder; convert it to JPEG or PNG"
    return ""


def why_no_video(path: str) -> str:
    """Why a file cannot be opened as a video."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "its index is missing: the recording was cut off before it was finished"
    if head.startswith((b"#EXTM3U", b"ffconcat")):
        return "a list of other files; give the videos themselves"
    return "not a video that can be read"


def _tiff_compression(file: IO[bytes], head: bytes) -> int | None:
    """Compression of a TIFF's first picture; None if it does not say.

    Source: TIFF 6.0, section 2.
    """
    order = "<" if head[:2] == b"II" else ">"
    file.seek(struct.unpack(order + "I", head[4:8])[0])
    count = int.from_bytes(file.read(2), "little" if order == "<" else "big")
    fields = file.read(12 * count)
    for tag, _, _, value in struct.iter_unpack(order + "HHIH2x", fields[: len(fields) // 12 * 12]):
        if tag == _COMPRESSION:
            return int(value)
    return None
