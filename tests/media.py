"""Real media made in tests: pictures that carry their number, sound, damage."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8


def numbered(number: int, width: int = 128, height: int = 96) -> np.ndarray:
    """A picture that says its number: a bar for each bit over the upper half, white for 1; dark grey below."""
    picture = np.full((height, width, 3), 40, np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        picture[: height // 2, left:right] = 235 if number >> bit & 1 else 16
    return picture


def noisy(number: int) -> np.ndarray:
    """A picture that says its number and takes many bytes."""
    picture = numbered(number, 256, 192)
    picture[96:] = np.random.default_rng(number).integers(0, 256, (96, 256, 3), np.uint8)
    return picture


def number_of(picture: np.ndarray) -> int:
    """Read a picture's number, whatever a codec did to it."""
    height, width, _ = picture.shape
    bars = picture[height // 8 : 3 * height // 8].reshape(-1, width, 3).mean((0, 2))
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, at in enumerate(centres) if bars[at] > 125)


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    times_s: Sequence[float] | None = None,
    codec: str = "libx264",
    audio: str | None = None,
    audio_rate: int = 48_000,
    audio_longer_s: float = 0.0,
    tracks: int = 1,
    **options: str,
) -> Path:
    """Write pictures of one size at these times, 25 a second by default, with tracks of a swelling tone if asked."""
    times = [at / 25 for at in range(len(pictures))] if times_s is None else list(times_s)
    height, width, _ = pictures[0].shape
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = width, height
        stream.pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
        time_base = Fraction(1, 25 if codec.startswith("mpeg") else 90_000)  # as fine as the codec allows
        stream.time_base = stream.codec_context.time_base = time_base
        sounds = [out.add_stream(audio, rate=audio_rate, layout="mono") for _ in range(tracks)] if audio else []
        for picture, at_s in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = round(at_s / time_base), time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for sound in sounds:
            _tone(out, sound, len(pictures) / 25 + audio_longer_s)
    return path


def _tone(out: av.container.OutputContainer, sound: av.AudioStream, seconds: float) -> None:
    size, rate = sound.codec_context.frame_size or 1024, sound.rate
    for at in range(int(seconds * rate / size)):
        at_s = np.arange(at * size, (at + 1) * size) / rate
        wave = (0.1 + 0.1 * at_s) * np.sin(at_s * 2 * np.pi * 440)
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at * size, Fraction(1, rate)
        out.mux(sound.encode(frame))
    out.mux(sound.encode(None))


def remux(source: Path, path: Path, form: str, **options: str) -> Path:
    """Write a video's packets into another container."""
    with av.open(source) as container, av.open(path, "w", format=form, options=options) as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    return path


def spoil(source: Path, path: Path, every: int, kind: str = "video") -> Path:
    """Write a video whose every so manieth packet of a kind is noise."""
    seen = 0
    with av.open(source) as container, av.open(path, "w", format="matroska") as out:
        streams = [out.add_stream_from_template(stream) for stream in container.streams]
        for packet in container.demux():
            if packet.dts is None:
                continue
            stream = streams[packet.stream.index]
            seen += stream.type == kind
            if stream.type == kind and seen % every == 0:
                noise = av.Packet(np.random.default_rng(seen).bytes(packet.size))
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                packet = noise
            packet.stream = stream
            out.mux(packet)
    return path


def cut_index(source: Path, path: Path) -> Path:
    """Write an MP4 as it is when the power fails: its index, which comes last, is missing."""
    data = remux(source, path, "mp4").read_bytes()
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rotate(path: Path, degrees: int) -> None:
    """Turn an MP4's picture by writing the matrix that phones write."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    set_matrix(path, a, b, -b, a)


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write an MP4's display matrix: a stored (x, y) is shown at (a x + c y, b x + d y)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times and ids, reserved and layer and volume
    one = 1 << 16
    struct.pack_into(">9i", data, at, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def exif(orientation: int) -> bytes:
    """An EXIF block that says nothing but how the picture is turned."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def write_jpeg(path: Path, picture: np.ndarray, orientation: int | None = None) -> Path:
    """Write a JPEG, turned by EXIF if asked."""
    av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").save(str(path), quality="2")
    if orientation:
        data, body = path.read_bytes(), b"Exif\0\0" + exif(orientation)
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + data[2:])
    return path


def write_png(path: Path, picture: np.ndarray, orientation: int | None = None) -> Path:
    """Write a PNG, turned by EXIF if asked."""
    av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24").save(str(path))
    if orientation:
        data, body = path.read_bytes(), b"eXIf" + exif(orientation)
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(data[:33] + chunk + data[33:])  # after the header
    return path


def pictures_of(path: Path) -> list[tuple[float, np.ndarray]]:
    """Decode a video: time in seconds and picture of each frame."""
    with av.open(path) as container:
        return [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
