"""A data set decoded once: its pictures at training size in one file that is mapped into memory.

So a training reads pixels from the page cache, and the cores are busy with the network, not with JPEG.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.errors import OutputError, SourceError
from engines.train import pictures
from engines.train.dataset import Dataset, Picture
from engines.train.target import Sample

_VERSION = 1


class _Place(NamedTuple):
    """Where a picture lies among the pixels."""

    number: int
    """Of the picture in its data set."""
    offset: int
    height: int
    width: int


@dataclass(frozen=True)
class Cache:
    """The samples of a data set, whose pixels lie decoded on the disk."""

    pixels: NDArray[np.uint8]
    """Of all pictures, one after the other; read only."""
    places: tuple[_Place, ...]
    dataset: Dataset
    problems: tuple[str, ...]
    """A line for each picture that could not be decoded."""

    def __len__(self) -> int:
        return len(self.places)

    def sample(self, number: int) -> Sample:
        """A picture, which must not be written to, and its labels at its size here."""
        _, offset, height, width = place = self.places[number]
        pixels = self.pixels[offset : offset + height * width * 3].reshape(height, width, 3)
        return Sample(pixels, self.dataset.pictures[place.number].target.scaled((height, width)))


def open_cache(
    dataset: Dataset, folder: Path, side_max_px: int, progress: Callable[[int, int], None] = lambda done, of: None
) -> Cache:
    """The decoded data set, from the folder, or made there first.

    Args:
        dataset: what to decode.
        folder: where `pixels-….bin` and its index lie; another data set or size, or a changed file, makes new ones.
        side_max_px: larger pictures are reduced until their long side is this.
        progress: told after each picture how many of how many are done.

    Raises:
        SourceError: no picture can be decoded.
        OutputError: the folder cannot be written.
    """
    key = _key(dataset, side_max_px)
    index = folder / f"pixels-{key}.json"
    if not index.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _make(dataset, index, side_max_px, progress)
        except OSError as error:
            if isinstance(error, SourceError):
                raise
            raise OutputError(f"the decoded pictures cannot be kept in {folder}: {error.strerror}") from error
    content = json.loads(index.read_bytes())
    pixels = np.memmap(index.with_suffix(".bin"), np.uint8, mode="r")
    return Cache(pixels, tuple(_Place(*place) for place in content["places"]), dataset, tuple(content["problems"]))


def _make(dataset: Dataset, index: Path, side_max_px: int, progress: Callable[[int, int], None]) -> None:
    """Write pixels and then the index, which is looked for: killed at any moment, nothing half is found."""
    places: list[_Place] = []
    problems: list[str] = []
    offset = 0
    draft = index.with_suffix(f".{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            for number, picture in enumerate(dataset.pictures):
                try:
                    pixels = _decoded(picture, side_max_px)
                except SourceError as error:
                    problems.append(str(error))
                else:
                    height, width, _ = pixels.shape
                    places.append(_Place(number, offset, height, width))
                    offset += file.write(pixels.tobytes())
                progress(number + 1, len(dataset.pictures))
        if not places:
            raise SourceError(f"none of {len(dataset.pictures)} pictures can be decoded; {problems[0]}")
        draft.replace(index.with_suffix(".bin"))
        draft.write_text(json.dumps({"places": places, "problems": problems}))
        draft.replace(index)
    finally:
        draft.unlink(missing_ok=True)


def _decoded(picture: Picture, side_max_px: int) -> NDArray[np.uint8]:
    pixels = pictures.read(picture.path)
    if pixels.shape[:2] != picture.target.size_hw:
        (height, width), (says_h, says_w) = pixels.shape[:2], picture.target.size_hw
        raise SourceError(f"picture {picture.path} is {width} x {height}, its labels are for {says_w} x {says_h}")
    height, width = pixels.shape[:2]
    scale = min(1.0, side_max_px / max(height, width))
    return pictures.resized(pixels, (max(1, round(height * scale)), max(1, round(width * scale))))


def _key(dataset: Dataset, side_max_px: int) -> str:
    """A name that changes with the files, their sizes and times, their labelled size and the size wanted."""
    digest = hashlib.sha256(f"{_VERSION} {side_max_px}\n".encode())
    for picture in dataset.pictures:
        try:
            status = picture.path.stat()
        except OSError:
            known = "missing"
        else:
            known = f"{status.st_size} {status.st_mtime_ns}"
        digest.update(f"{picture.path.resolve()} {picture.target.size_hw} {known}\n".encode())
    return digest.hexdigest()[:16]
