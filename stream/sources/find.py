"""What may stand behind `--source`: files, folders and globs to a list of sources."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from configs.errors import SourceError
from stream.messages import SourceSpec

VIDEO_ENDINGS = frozenset(
    ".3gp .asf .avi .flv .gif .h264 .h265 .hevc .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob "
    ".webm .wmv .y4m".split()
)
IMAGE_ENDINGS = frozenset(".bmp .jpeg .jpg .jp2 .png .ppm .tif .tiff .webp".split())


def find(sources: Sequence[str]) -> list[SourceSpec]:
    """Give the sources that are meant, in order, names unique.

    A folder stands for the videos in it, sorted by name; without any, for its images as one source.
    A file named by itself is taken whatever its ending.

    Raises:
        SourceError: one of them is none.
    """
    found = [each for source in sources for each in _one(source)]
    taken: set[str] = set()
    unique = []
    for kind, path in found:
        stem = name = Path(path).stem or "source"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name)
        unique.append(SourceSpec(name, kind, path))
    return unique


def image_files(folder: str) -> list[str]:
    """Give the paths of a folder's images as people count: img2 before img10."""
    return sorted(
        (os.path.join(folder, name) for name in os.listdir(folder) if _ends(name, IMAGE_ENDINGS)), key=_counted
    )


def why_no_video(path: str) -> str:
    """Say what is wrong with a file that cannot be opened as a video."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "its index is missing: the recording was cut off before it was finished"
    if head.startswith((b"#EXTM3U", b"ffconcat")):
        return "a list of other files; give the videos themselves"
    return "not a video that can be read"


def redacted(source: str) -> str:
    """Give an address without its user and password."""
    return re.sub(r"(?<=://)[^/]*@", "***@", source)


def _one(source: str) -> list[tuple[Literal["file", "images"], str]]:
    _refuse_live(source)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder(path)
    if not os.path.lexists(path) and glob.has_magic(source):
        matches = sorted(glob.glob(str(path), recursive=True), key=_counted)
        if not matches:
            raise SourceError(f"{source}: no file matches")
        return [found for match in matches if Path(match).is_file() or len(matches) == 1 for found in _one(match)]
    _check_file(path)
    return [("file", str(path))]


def _refuse_live(source: str) -> None:
    later = "comes with live sources, not in this version; give a file, a folder or a glob"
    if source.isdecimal() and not Path(source).exists():
        raise SourceError(f"camera {source}: {later}")
    if source.startswith("/dev/video"):
        raise SourceError(f"camera {source}: {later}")
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise SourceError(f"{redacted(source)}: reading from the network {later}")
    if source.endswith(".streams"):
        raise SourceError(f"{source}: a list of streams {later}")


def _folder(path: Path) -> list[tuple[Literal["file", "images"], str]]:
    try:
        names = os.listdir(path)
    except OSError as error:
        raise SourceError(f"{path}: folder cannot be read: {error.strerror}; check its permissions") from None
    videos = sorted((name for name in names if _ends(name, VIDEO_ENDINGS)), key=_counted)
    if videos:
        return [("file", str(path / name)) for name in videos]
    if any(_ends(name, IMAGE_ENDINGS) for name in names):
        return [("images", str(path))]
    raise SourceError(f"{path}: folder holds no video and no image")


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{path}: not a regular file; give a video file, a folder or a glob")
        if status.st_size == 0:
            raise SourceError(f"{path}: the file is empty")
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file; check the path") from None
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None


def _ends(name: str, endings: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in endings and not name.startswith(".")


def _counted(name: str) -> list[tuple[int, int, str]]:
    """Sort key that takes runs of digits as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
