"""Records for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from configs.skeleton import SkeletonSettings
from engines.ops.skeleton import COCO, Skeleton
from stream.export.clip import Clip
from stream.records import Person, Record

HAND = Skeleton(
    SkeletonSettings(
        names=("wrist", "left tip", "right tip"), limbs=(("wrist", "left tip"),), mirror=(), sigmas=(0.05, 0.1, 0.1)
    )
)


def person(number: int, index: int, skeleton: Skeleton = COCO) -> Person:
    rng = np.random.default_rng([number, index])
    xy = rng.uniform(50, 400, (skeleton.size, 2)).round(2)
    sure = rng.uniform(0, 1, skeleton.size).round(4)
    points = [(x, y, confidence) for (x, y), confidence in zip(xy.tolist(), sure.tolist(), strict=True)]
    raw = [(x, y) for x, y in (xy + 1).round(2).tolist()]
    return Person(number, 0.9 - number / 100, (40.5, 41.25, 410.0, 420.75), points, raw, "seen")


def record(index: int, people: Sequence[Person], fps: float = 25.0, source: str = "cam") -> Record:
    return Record(
        source=source,
        epoch=0,
        index=index,
        pts_s=round(index / fps, 6),
        width=640,
        height=480,
        dropped=0,
        flags=[],
        people=list(people),
    )


def crowd(frames: int = 12, skeleton: Skeleton = COCO) -> list[Record]:
    """Frames 0 to `frames` without 5, which was lost: nobody in frame 3; person 1 always, 2 in every second, 9 late."""
    records = []
    for index in range(frames):
        numbers = [1, *([2] if index % 2 == 0 else []), *([9] if index >= 7 else [])] if index != 3 else []
        if index != 5:
            records.append(record(index, [person(number, index, skeleton) for number in numbers]))
    return records


def clip_of(records: Sequence[Record], skeleton: Skeleton = COCO) -> Clip:
    def read() -> Iterator[Record]:
        return iter(records)

    return Clip("made", skeleton, read)


def write_records(path: Path, records: Sequence[Record]) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in records))
    return path
