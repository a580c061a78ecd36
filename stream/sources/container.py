"""Opening a media file with PyAV, and what its container says of the video in it."""

from __future__ import annotations

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from configs.errors import SourceError
from stream.sources.clock import seconds_in
from stream.sources.signature import why_no_video, why_refused

_REFUSED = {"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest", "tty"}
"""Formats that name other files; the last shows any text as a video of its letters."""
_STILLS = {"image2", "gif"}
"""Formats of pictures, beside those that end in _pipe; what they say of pixel shape is meant for print."""


def open_container(path: str, label: str, pixels_max: int) -> InputContainer:
    """Open a file, and no other that it may name.

    Args:
        path: of the file.
        label: names it in errors.
        pixels_max: larger pictures are not decoded.

    Raises:
        SourceError: it is no video, or cannot be read.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(sorted(av.formats_available - _REFUSED)),
        "pattern_type": "none",  # image2 would take img%d.jpg for a row of files
        "max_pixels": str(pixels_max),  # opening may decode a picture
    }
    try:
        why = why_refused(path)
    except OSError as error:
        raise SourceError(f"{label}: cannot be opened: {error.strerror}") from None
    if why:
        raise SourceError(f"{label}: {why}")
    try:
        return av.open(f"file:{path}", options=options, metadata_errors="ignore")  # a bare a:b.mp4 is a protocol
    except (av.InvalidDataError, av.ArgumentError):
        raise SourceError(f"{label}: {why_no_video(path)}") from None
    except av.FFmpegError as error:
        raise SourceError(f"{label}: cannot be opened: {error.strerror}") from None


def video_stream(container: InputContainer, path: str, label: str, pixels_max: int) -> VideoStream:
    """The stream to read, ready to be decoded.

    Raises:
        SourceError: there is none, none that can be decoded, or its pictures are too large.
    """
    videos = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    if not videos:
        said = "holds no video stream" if container.streams.audio else why_no_video(path)
        raise SourceError(f"{label}: {said}")
    if any(video.disposition & Disposition.dependent and video.frames == 1 for video in videos):
        # FFmpeg gives the tiles and not how they lie
        raise SourceError(f"{label}: a picture in tiles, as phones write HEIC; convert it to JPEG or PNG")
    best = container.streams.best("video")
    stream = next((video for video in videos if video is best), videos[0])
    if stream.codec_context is None:
        raise SourceError(f"{label}: no decoder for its video codec in {container.format.long_name}")
    if (pixels := stream.width * stream.height) > pixels_max:
        raise SourceError(f"{label}: pictures of {pixels} pixels; frame_px2_max allows {pixels_max}")
    stream.codec_context.options = {"max_pixels": str(pixels_max)}  # a later picture may be larger than the first
    stream.thread_type = "AUTO"
    return stream


def length_s(container: InputContainer, stream: VideoStream) -> float | None:
    """Length of the very stream, in seconds; None if the file does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if (tagged_s := seconds_in(stream.metadata.get("DURATION", ""))) is not None:  # Matroska
        return tagged_s
    if container.duration and len(container.streams) == 1:
        return container.duration / av.time_base
    return None


def bit_rate(container: InputContainer, stream: VideoStream) -> int | None:
    """Bits a second of the video; None if unknown."""
    others = sum(other.bit_rate or 0 for other in container.streams.audio)
    return stream.bit_rate or max((container.bit_rate or 0) - others, 0) or None


def stored_aspect(container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Width to height of a stored pixel; (1, 1) where the file does not say."""
    name = container.format.name
    ratio = None if name in _STILLS or name.endswith("_pipe") else stream.sample_aspect_ratio
    return (ratio.numerator, ratio.denominator) if ratio else (1, 1)
