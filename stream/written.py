"""What the records of a live source hold, read while nobody writes them."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from stream.position import Place
from stream.runtime.progress import Delivered

_PERSON = b'"tracked":'  # a key that each person has once; in a text its quotes would be escaped


class _Row(Struct):
    """What of a record is looked at."""

    index: int
    epoch: int
    pts_s: float
    wall: str


def delivered_in(part: Path) -> Delivered:
    """What a file of records holds. A last line that a kill has torn is cut off.

    Args:
        part: the file, finished or not.

    Raises:
        OSError: it cannot be read or cut.
    """
    frames = people = whole_bytes = 0
    last = b""
    with part.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(whole_bytes)
                break
            frames, people, last = frames + 1, people + line.count(_PERSON), line
            whole_bytes += len(line)
    return Delivered(frames, people, _place_of(last) if last else None)


def _place_of(line: bytes) -> Place:
    """The frame of a live source's record; when it was captured is taken from its wall clock, to a millisecond."""
    row = msgspec.json.decode(line, type=_Row)
    age_ns = time.time_ns() - round(datetime.fromisoformat(row.wall).timestamp() * 1e9)
    return Place(row.index, row.epoch, round(row.pts_s * 1e9), time.monotonic_ns() - age_ns)
