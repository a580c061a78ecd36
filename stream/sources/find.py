"""What may stand behind `--source`: files, folders and globs to a list of sources."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from configs.errors import ConfigError, SourceError
from stream.address import label_of, printable, uri_of
from stream.messages import SourceSpec

VIDEO_ENDINGS = frozenset(
    ".3gp .asf .avi .flv .gif .h264 .h265 .hevc .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob "
    ".webm .wmv .y4m".split()
)
IMAGE_ENDINGS = frozenset(".avif .bmp .heic .heif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split())
_PROTOCOLS = r"(async|cache|concatf?|crypto|data|fd|file|ftp|pipe|subfile|tcp|udp|unix):"
"""FFmpeg's, that stand before a path or an address without slashes."""


def find(sources: Sequence[str]) -> list[SourceSpec]:
    """The sources that are meant, in order, names unique.

    A folder stands for the videos in it, sorted by name; without any, for its images as one source. A GIF beside
    images is no video. A file named by itself is taken whatever its ending.

    Raises:
        ConfigError: an empty name.
        SourceError: one of them is none.
    """
    found = [each for source in sources for each in _one(source)]
    taken: set[str] = set()
    unique = []
    for kind, path in found:
        stem = name = printable(Path(path).stem) or "source"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        unique.append(SourceSpec(name, kind, uri_of(path)))
    return unique


def image_names(names: Iterable[str]) -> list[str]:
    """Names of images as people count: img2 before img10."""
    return sorted((name for name in names if _ends(name, IMAGE_ENDINGS)), key=_counted)


def video_names(names: Iterable[str]) -> list[str]:
    """Names of videos as people count."""
    return sorted((name for name in names if _ends(name, VIDEO_ENDINGS)), key=_counted)


def _one(source: str) -> list[tuple[Literal["file", "images"], str]]:
    if not source:
        raise ConfigError("--source is empty; give a file, a folder or a glob")
    _refuse_live(source)
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        return _folder(Path(path))
    if not os.path.lexists(path) and glob.has_magic(source):
        matches = sorted(glob.glob(path, recursive=True), key=_counted)
        if not matches:
            raise SourceError(f"{printable(source)}: no file matches")
        return [found for match in matches if os.path.isfile(match) or len(matches) == 1 for found in _one(match)]
    _check_file(Path(path))
    return [("file", str(Path(path)))]


def _refuse_live(source: str) -> None:
    later = "comes with live sources, not in this version; give a file, a folder or a glob"
    if os.path.lexists(source) and not source.startswith("/dev/video"):
        return
    if source.isdecimal():
        raise SourceError(f"camera {source}: {later}")
    if source.startswith("/dev/video"):
        raise SourceError(f"camera {source}: {later}")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise SourceError(f"{label_of(source)}: reading from the network {later}")
    if re.match(_PROTOCOLS, source):
        raise SourceError(f"{printable(source)}: FFmpeg's protocols are not read; give the files themselves")
    if source.endswith(".streams"):
        raise SourceError(f"{printable(source)}: a list of streams {later}")


def _folder(path: Path) -> list[tuple[Literal["file", "images"], str]]:
    label = printable(str(path))
    try:
        names = os.listdir(path)
    except OSError as error:
        raise SourceError(f"{label}: folder cannot be read: {error.strerror}; check its permissions") from None
    videos, images = video_names(names), image_names(names)
    if images and all(name.lower().endswith(".gif") for name in videos):
        return [("images", str(path))]
    if videos:
        return [("file", str(path / name)) for name in videos]
    raise SourceError(f"{label}: folder holds no video and no image")


def _check_file(path: Path) -> None:
    label = printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{label}: not a regular file; give a video file, a folder or a glob")
        if status.st_size == 0:
            raise SourceError(f"{label}: the file is empty")
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise SourceError(f"{label}: no such file; check the path") from None
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{label}: cannot be read: {error.strerror}") from None


def _ends(name: str, endings: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in endings and not name.startswith(".")


def _counted(name: str) -> list[tuple[int, int, str]]:
    """Sort key that takes runs of digits as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
