"""Publishers and records for the tests of the keypoint stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.coco import KEYPOINTS
from stream.keys import KeyFolder
from stream.published import Condition, State
from stream.records import Person, Record
from stream.sinks.broadcast import Broadcast
from stream.sinks.endpoint import endpoint_of


def record(index: int, source: str = "cam1", people: int = 1) -> Record:
    keypoints = [(float(at), 2.5, 0.5) for at in range(17)]
    person = [
        Person(number + 1, 0.9, (0.0, 1.0, 2.0, 3.0), keypoints, [(x, y) for x, y, _ in keypoints], "seen")
        for number in range(people)
    ]
    return Record(
        source=source,
        epoch=0,
        index=index,
        pts_s=index / 30,
        width=640,
        height=480,
        dropped=0,
        flags=[],
        people=person,
    )


def state(source: str = "cam1", status: Condition = "ok") -> State:
    return State(source, status, KEYPOINTS, ((0, 1),), record_schema="{}")


@contextmanager
def publisher(address: str, keys: Path | None = None, *sources: str) -> Iterator[Broadcast]:
    """A publisher that has told of its sources, cam1 if none is named."""
    outlet = Broadcast(endpoint_of(address), KeyFolder(str(keys) if keys else "/nowhere"))
    try:
        for source in sources or ("cam1",):
            outlet.tell(state(source))
        yield outlet
    finally:
        outlet.close()
