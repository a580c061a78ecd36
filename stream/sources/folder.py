"""The videos and images of a folder, or of a whole tree."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from configs.errors import SourceError
from stream.address import printable, uri_of
from stream.sources.named import Found

VIDEO_ENDINGS = frozenset(
    ".3gp .asf .avi .flv .gif .h264 .h265 .hevc .m2ts .m4v .mjpeg .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .ts .vob "
    ".webm .wmv .y4m".split()
)
IMAGE_ENDINGS = frozenset(".avif .bmp .heic .heif .jp2 .jpeg .jpg .png .ppm .tif .tiff .webp".split())
_BETWEEN = "__"
"""Stands in a source's name for the slash between the folders of a tree."""


class Wanted(NamedTuple):
    """Which files of a folder are meant."""

    recursive: bool = False
    """Those of all folders in it, too."""
    include: tuple[str, ...] = ()
    """Globs of which one must fit; none: all files."""
    exclude: tuple[str, ...] = ()
    """Globs of which none may fit."""

    def takes(self, path: str) -> bool:
        """Whether a file is meant: a glob fits its path, its name, or a folder that it is in.

        Args:
            path: below the folder that was named, with slashes.
        """
        parts = PurePosixPath(path).parts
        ways = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)] + list(parts)
        included = not self.include or any(fnmatchcase(way, glob) for glob in self.include for way in ways)
        return included and not any(fnmatchcase(way, glob) for glob in self.exclude for way in ways)


ALL = Wanted()


def in_folder(path: Path, wanted: Wanted) -> list[Found]:
    """The videos in a folder or a tree; without any, its images, those of each folder as one source.

    A GIF beside images is no video. What begins with a dot is left out.

    Raises:
        SourceError: the folder cannot be read, or holds nothing that is wanted.
    """
    videos, images = [], []
    for folder, names in _folders(path, wanted.recursive):
        taken = [name for name in names if wanted.takes((folder / name).relative_to(path).as_posix())]
        these, those = video_names(taken), image_names(taken)
        if those and all(name.lower().endswith(".gif") for name in these):
            images.append(Found("images", uri_of(str(folder)), _name(path, folder)))
        else:
            videos += [Found("file", uri_of(str(folder / name)), _name(path, folder / name)) for name in these]
    if not videos and not images:
        narrower = " that --include and --exclude leave" if wanted.include or wanted.exclude else ""
        deeper = "" if wanted.recursive or not _has_folders(path) else "; --recursive looks into the folders in it"
        raise SourceError(f"{printable(str(path))}: folder holds no video and no image{narrower}{deeper}")
    return videos or images


def file_name(path: Path) -> str:
    """What a file or folder is called as a source."""
    return printable(path.stem) or "source"


def image_names(names: Iterable[str]) -> list[str]:
    """Names of images as people count: img2 before img10."""
    return sorted((name for name in names if _ends(name, IMAGE_ENDINGS)), key=counted)


def video_names(names: Iterable[str]) -> list[str]:
    """Names of videos as people count."""
    return sorted((name for name in names if _ends(name, VIDEO_ENDINGS)), key=counted)


def counted(name: str) -> list[tuple[int, int, str]]:
    """Sort key that takes runs of digits as numbers."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _folders(path: Path, recursive: bool) -> Iterator[tuple[Path, list[str]]]:
    """Each folder that can be read, and the names in it.

    Links to folders are not followed, for they may lead back.
    """

    def refuse(error: OSError) -> None:
        label = printable(os.fspath(error.filename or path))
        told = f"{label}: folder cannot be read: {error.strerror}; check its permissions"
        if Path(error.filename or path) == path:
            raise SourceError(told) from None
        print(f"posestream: {told}; it is left out", file=sys.stderr)

    for folder, folders, names in os.walk(path, onerror=refuse):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=counted) if recursive else []
        yield Path(folder), names


def _has_folders(path: Path) -> bool:
    return any(each.is_dir() for each in path.iterdir())


def _name(root: Path, path: Path) -> str:
    if path == root:
        return file_name(path)
    return printable(_BETWEEN.join((*path.relative_to(root).parent.parts, path.stem))) or "source"


def _ends(name: str, endings: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in endings and not name.startswith(".")
