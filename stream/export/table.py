"""Records as one table: a row a person and frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engines.ops.skeleton import Skeleton
from stream.export.clip import Clip

WHOLE: Final = ("frame", "epoch", "id")
"""Columns of whole numbers; `tracked` holds text, all others hold floats."""
_FIRST: Final = ("frame", "epoch", "time_s", "id", "tracked", "score", "x1", "y1", "x2", "y2")

Cell = int | float | str


def columns(skeleton: Skeleton) -> list[str]:
    """Names of the columns: who and when, the box, then of each keypoint x, y, confidence, then raw x, y."""
    smooth = [f"{name}_{part}" for name in skeleton.names for part in ("x", "y", "confidence")]
    raw = [f"{name}_raw_{part}" for name in skeleton.names for part in ("x", "y")]
    return [*_FIRST, *smooth, *raw]


def rows(clip: Clip) -> Iterator[list[Cell]]:
    """Rows of the table, by frame and id. A frame without people has none."""
    for record in clip:
        for person in record.people:
            row: list[Cell] = [record.index, record.epoch, record.pts_s, person.id, person.tracked, person.score]
            row += person.box
            row += (value for point in person.keypoints for value in point)
            row += (value for point in person.raw_keypoints for value in point)
            yield row
