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
from stream.address import printable, uri_of
from stream.message_file import ENDING
from stream.messages import SourceSpec
from stream.sources.named import Found, live_found
from stream.sources.replay import recorded_sources
from stream.sources.streams_list import read_streams

VIDEO_ENDINGS = frozenset(
    ".3gp .asf .avi .flv .gif .h264 .h265 .hevc .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob "
    ".webm .wmv .y4m".split()
)
IMAGE_ENDINGS = frozenset(".avif .bmp .heic .heif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split())


def find(
    sources: Sequence[str],
    realtime: bool = False,
    allow_pipe: bool = False,
    taken: Iterable[str] = (),
    name: str = "",
) -> list[SourceSpec]:
    """The sources that are meant, in order, names unique.

    A folder stands for the videos in it, sorted by name; without any, for its images as one source. A GIF beside
    images is no video. A file named by itself is taken whatever its ending. What `live_found` knows is live; a
    .streams file stands for the sources in it, a .psm file for those whose messages it holds.

    Args:
        sources: as typed.
        realtime: files and folders are played at their own clock, as if they were live.
        allow_pipe: a path may be a named pipe.
        taken: names that others have.
        name: how a source is to be called; empty: as its address says.

    Raises:
        ConfigError: an empty name, or a list that cannot be used.
        SourceError: one of them is none.
    """
    if any(source.endswith(ENDING) for source in sources):
        return _recorded(sources)
    found = [each for source in sources for each in _listed(source, allow_pipe)]
    names = set(taken)
    unique = []
    for kind, uri, said in found:
        stem = free = name or said
        number = 1
        while free in names:
            number += 1
            free = f"{stem}-{number}"
        names.add(free)
        unique.append(SourceSpec(free, kind, uri, realtime=realtime and kind in ("file", "images")))
    return unique


def image_names(names: Iterable[str]) -> list[str]:
    """Names of images as people count: img2 before img10."""
    return sorted((name for name in names if _ends(name, IMAGE_ENDINGS)), key=_counted)


def video_names(names: Iterable[str]) -> list[str]:
    """Names of videos as people count."""
    return sorted((name for name in names if _ends(name, VIDEO_ENDINGS)), key=_counted)


def _recorded(sources: Sequence[str]) -> list[SourceSpec]:
    if len(sources) > 1:
        raise ConfigError(f"a {ENDING} file is replayed alone; give no other --source")
    path = os.path.expanduser(sources[0])
    return [SourceSpec(name, "messages", uri_of(path)) for name in recorded_sources(path)]


def _listed(source: str, allow_pipe: bool) -> list[Found]:
    """What one source stands for; of a .streams file the sources in it, under the names that it gives."""
    if not source.endswith(".streams"):
        return _one(source, allow_pipe)
    found = []
    for name, listed in read_streams(source):
        ones = _one(listed, allow_pipe)
        found += [Found(kind, uri, name or said) for kind, uri, said in ones]
    return found


def _one(source: str, allow_pipe: bool) -> list[Found]:
    if not source:
        raise ConfigError("--source is empty; give a file, a folder, a glob, a camera or an address")
    if (live := live_found(source, allow_pipe)) is not None:
        return [live]
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        return _folder(Path(path))
    if not os.path.lexists(path) and glob.has_magic(source):
        matches = sorted(glob.glob(path, recursive=True), key=_counted)
        if not matches:
            raise SourceError(f"{printable(source)}: no file matches")
        return [
            found
            for match in matches
            if os.path.isfile(match) or len(matches) == 1
            for found in _one(match, allow_pipe)
        ]
    _check_file(Path(path))
    return [_found("file", Path(path))]


def _found(kind: Literal["file", "images"], path: Path) -> Found:
    return Found(kind, uri_of(str(path)), printable(path.stem) or "source")


def _folder(path: Path) -> list[Found]:
    label = printable(str(path))
    try:
        names = os.listdir(path)
    except OSError as error:
        raise SourceError(f"{label}: folder cannot be read: {error.strerror}; check its permissions") from None
    videos, images = video_names(names), image_names(names)
    if images and all(name.lower().endswith(".gif") for name in videos):
        return [_found("images", path)]
    if videos:
        return [_found("file", path / name) for name in videos]
    raise SourceError(f"{label}: folder holds no video and no image")


def _check_file(path: Path) -> None:
    label = printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            pipe = "; a named pipe needs --allow-pipe" if stat.S_ISFIFO(status.st_mode) else ""
            raise SourceError(f"{label}: not a regular file; give a video file, a folder or a glob{pipe}")
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
