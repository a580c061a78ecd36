"""YOLO-pose text files: one beside each picture, one line a person, shares of the picture instead of pixels.

A line is `class cx cy w h x1 y1 v1 … xK yK vK`, or without the v's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from configs.errors import SourceError
from engines.train import pictures
from engines.train.dataset import Dataset, Person, Picture, person_target
from engines.train.target import Target

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_AREA_OF_BOX = 0.53
"""How much of a box a person fills, on average over COCO; the form says no area."""
_PERSON = 0
"""The class that counts; others are not people."""


def read_yolo(images: Path, labels: Path, keypoint_names: Sequence[str]) -> Dataset:
    """The pictures of a folder with their text files; a picture without one holds nobody.

    Lines and pictures that cannot be used are named in `problems` and left out.

    Raises:
        SourceError: there is no picture that can be used.
    """
    paths = sorted(path for path in images.rglob("*") if path.suffix.lower() in _SUFFIXES)
    found, problems = [], []
    for number, path in enumerate(paths):
        text = labels / path.relative_to(images).with_suffix(".txt")
        try:
            size_hw = pictures.size_hw(path)
            lines = text.read_text().splitlines() if text.exists() else []
        except (SourceError, OSError, UnicodeDecodeError) as error:
            problems.append(str(error))
            continue
        people = list(_people(lines, text, size_hw, len(keypoint_names), problems))
        found.append(Picture(number, path, person_target(size_hw, people, len(keypoint_names)), ""))
    if not found:
        raise SourceError(f"{images}: no picture in it can be used; {problems[0] if problems else 'it holds none'}")
    return Dataset(tuple(found), tuple(keypoint_names), tuple(problems))


def yolo_lines(target: Target) -> list[str]:
    """The text file of a picture's people, a line each; crowds have no place in that form and are left out."""
    height, width = target.size_hw
    lines = []
    for person in np.flatnonzero(~target.crowd):
        x1, y1, x2, y2 = target.boxes[person].tolist()
        numbers = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        line = [f"{_PERSON}", *(f"{number:.6f}" for number in numbers)]
        for (x, y), v in zip(target.keypoints[person].tolist(), target.visibility[person].tolist(), strict=True):
            line += [f"{x / width:.6f}", f"{y / height:.6f}", f"{v}"] if v else ["0", "0", "0"]
        lines.append(" ".join(line))
    return lines


def _people(
    lines: Sequence[str], text: Path, size_hw: tuple[int, int], keypoints: int, problems: list[str]
) -> Iterator[Person]:
    for number, line in enumerate(lines, 1):
        try:
            if line.strip() and float(line.split()[0]) == _PERSON:
                yield _person(number, [float(word) for word in line.split()[1:]], size_hw, keypoints)
        except ValueError as error:
            problems.append(f"{text}, line {number}: {error}")


def _person(number: int, numbers: Sequence[float], size_hw: tuple[int, int], keypoints: int) -> Person:
    if len(numbers) not in (4 + 2 * keypoints, 4 + 3 * keypoints):
        raise ValueError(
            f"{len(numbers)} numbers after the class; expected {4 + 3 * keypoints}, or {4 + 2 * keypoints} without v"
        )
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number is not finite")
    height, width = size_hw
    cx, cy, w, h = numbers[0] * width, numbers[1] * height, numbers[2] * width, numbers[3] * height
    if w <= 0 or h <= 0:
        raise ValueError(f"a box of {numbers[2]:g} x {numbers[3]:g}; expected sides above 0")
    xyv = np.array(numbers[4:]).reshape(keypoints, -1)
    if xyv.shape[1] == 2:
        xyv = np.column_stack((xyv, np.where((xyv == 0).all(1), 0, 2)))
    if not np.isin(xyv[:, 2], (0, 1, 2)).all():
        raise ValueError("a visibility is not 0, 1 or 2")
    return Person(
        id=number,
        box=(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2),
        xyv=xyv * (width, height, 1),
        weights=(xyv[:, 2] > 0).astype(float),
        area_px2=_AREA_OF_BOX * w * h,
        crowd=False,
    )
