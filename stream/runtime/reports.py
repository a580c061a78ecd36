"""What a group of stages reports to the supervisor, and what it is told."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from stream.changes import Add, Pause, Remove, Resume
from stream.figures import RunFigures, StageFigures
from stream.messages import Begin, Cut, End, Status
from stream.position import Place


class Counts(Struct):
    """What of a source has passed the whole pipeline."""

    frames: int = 0
    people: int = 0
    """People in all frames: one person in ten frames counts ten."""
    dropped: dict[str, int] = {}
    """Cause -> frames that a stage gave up."""
    age_p95_ms: float = 0.0
    """From decoding to the last stage, of the frames since the last beat; 0 if there were none."""


class Joined(Struct, frozen=True, tag=True):
    """The group has reached its neighbours."""


class Ready(Struct, frozen=True, tag=True):
    """The group's stages are made, models loaded."""

    notes: list[str]
    """Lines to be shown to the user."""
    slots_wanted: int
    """Slots that keep its stages busy; 0: as many as any."""
    together: int = 1
    """Frames of a recording that its stages work on at once."""
    wants_figures: bool = False
    """One of its stages shows where the run stands."""


class Beat(Struct, frozen=True, tag=True):
    """A sign of life, twice a second, with the figures so far."""

    stages: dict[str, StageFigures]
    handled: int
    """Messages taken or given: while it stands still, nothing goes on here."""
    sources: dict[str, Counts]
    """In the last group: of each open source what is done."""
    places: dict[str, Place]
    """In the last group: of each open source the last frame that is done with."""
    people: int
    """In the last group: people in all the frames that are done with."""
    notes: list[str]
    """Lines to be shown to the user that have come since the last one."""
    sent_bytes: int
    """What went through this group's outlets."""
    memory_bytes: int
    """Resident memory of the group's process."""
    ends_run: bool = False
    """The user has asked here that the run ends."""


class Began(Struct, frozen=True, tag=True):
    """A source was opened."""

    begin: Begin


class Ended(Struct, frozen=True, tag=True):
    """A source has passed the whole pipeline."""

    end: End
    counts: Counts


class Reached(Struct, frozen=True, tag=True):
    """A cut has passed the whole pipeline: its states are complete, and the sinks have all frames before it."""

    cut: Cut
    counts: Counts
    """What of its source had passed by then, since this group was started."""


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


class Go(Struct, frozen=True, tag=True):
    """Read the sources."""

    slots: int
    """Frames of one decoder that may be under way at once."""
    together: int = 1
    """Frames of a recording that one worker is to get in a row."""
    era: int = 0
    """How often the stages behind the sources were restarted before."""
    open: dict[str, dict[str, bytes]] = {}
    """After a restart: source that has not ended yet -> the snapshots, by stage, that it continues from."""


class Hold(Struct, frozen=True, tag=True):
    """Send nothing until the next `Go`: the stages behind the sources are being restarted."""


class Slots(Struct, frozen=True, tag=True):
    """Frames of one decoder that may be under way at once, from now on."""

    slots: int


class Stop(Struct, frozen=True, tag=True):
    """Read no further, finish what is under way."""


class Abandon(Struct, frozen=True, tag=True):
    """Nothing more comes, finish now."""


Report = Joined | Ready | Beat | Began | Status | Ended | Reached | Failed | Done
Command = Go | Hold | Slots | Stop | Abandon | Add | Remove | Pause | Resume | RunFigures

_ENCODER = msgspec.msgpack.Encoder()
_REPORTS = msgspec.msgpack.Decoder(Report)
_COMMANDS = msgspec.msgpack.Decoder(Command)


def to_bytes(said: Report | Command) -> bytes:
    """The bytes of a report or a command."""
    return _ENCODER.encode(said)


def report_from(data: bytes) -> Report:
    """The report that `to_bytes` was given."""
    report: Report = _REPORTS.decode(data)
    return report


def command_from(data: bytes) -> Command:
    """The command that `to_bytes` was given."""
    command: Command = _COMMANDS.decode(data)
    return command
