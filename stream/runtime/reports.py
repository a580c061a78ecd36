"""What a group of stages tells the supervisor, and what it is told."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from stream.messages import Begin, End
from stream.runtime.metrics import StageFigures


class Joined(Struct, frozen=True, tag=True):
    """The group has reached its neighbours; nobody will connect to its addresses any more."""


class Ready(Struct, frozen=True, tag=True):
    """The group's stages are made, models loaded."""

    notes: list[str]
    """Lines to be shown to the user."""


class Beat(Struct, frozen=True, tag=True):
    """A sign of life, twice a second, with the figures so far."""

    stages: dict[str, StageFigures]
    people: int
    """People in all the frames that are done with."""
    sent_bytes: int
    """What went through this group's outlet."""
    memory_bytes: int
    """Resident memory of the group's process."""


class Began(Struct, frozen=True, tag=True):
    """A source was opened."""

    begin: Begin


class Ended(Struct, frozen=True, tag=True):
    """A source has passed the whole pipeline."""

    end: End
    frames_done: int
    """Frames of it that reached the sinks."""


class Failed(Struct, frozen=True, tag=True):
    """The group cannot go on."""

    exit_code: int
    """Of the whole run."""
    text: str
    """One line."""
    trace: str
    """The traceback, for --debug."""


class Done(Struct, frozen=True, tag=True):
    """The group has given all and closed everything."""


Report = Joined | Ready | Beat | Began | Ended | Failed | Done
Command = Literal["go", "stop", "abandon"]
"""go: read the sources. stop: read no further, finish what is under way. abandon: nothing more comes, finish now."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Report)


def to_bytes(report: Report) -> bytes:
    """Give a report's bytes."""
    return _ENCODER.encode(report)


def from_bytes(data: bytes) -> Report:
    """Give the report back."""
    report: Report = _DECODER.decode(data)
    return report
