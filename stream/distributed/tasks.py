"""What the runners of a cluster are asked to do, and what they answer, as messages."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stream.messages import Begin, SourceSpec
from stream.runtime.reports import Beat, Ended
from stream.sources.ranges import FrameRange
from stream.summary import SourceSummary

T = TypeVar("T")


class Files(Struct, frozen=True, tag=True):
    """Recordings, each from its beginning or its last commit to its end."""

    specs: tuple[SourceSpec, ...]

    @property
    def label(self) -> str:
        """What it is, for people; unique in a run."""
        more = f" and {len(self.specs) - 1} more" if len(self.specs) > 1 else ""
        return f"{self.specs[0].name}{more}"


class Plan(Struct, frozen=True, tag=True):
    """A recording of which is to be found out how it can be cut into parts."""

    spec: SourceSpec
    parts: int
    """At most."""

    @property
    def label(self) -> str:
        """What it is, for people; unique in a run."""
        return f"{self.spec.name}, its frames"


class Part(Struct, frozen=True, tag=True):
    """Frames of a recording, in a row, in which people are to be found."""

    spec: SourceSpec
    frames: FrameRange

    @property
    def label(self) -> str:
        """What it is, for people; unique in a run."""
        return f"{self.spec.name} from frame {self.frames.first}"


class Finish(Struct, frozen=True, tag=True):
    """A recording in all of which people were found: they are to be tracked, and the outputs written."""

    spec: SourceSpec

    @property
    def label(self) -> str:
        """What it is, for people; unique in a run."""
        return f"{self.spec.name}, its outputs"


Task = Files | Plan | Part | Finish


class Failure(Struct, frozen=True):
    """Why a task could not be done."""

    exit_code: int
    """Of the whole run, if it ends by this."""
    text: str
    """One line."""


class Look(Struct, frozen=True):
    """Where the task at hand stands."""

    notes: list[str]
    """Lines to be shown to the user."""
    begins: list[Begin]
    """Of the recordings that were opened."""
    ended: list[Ended]
    """Recordings that have passed the whole pipeline, with all that did, also in tasks before."""
    beat: Beat
    """Figures of all its stages together."""


class Outcome(Struct, frozen=True):
    """What became of a task."""

    sources: tuple[SourceSummary, ...] = ()
    """Of the recordings that were done with, or stopped."""
    parts: tuple[Part, ...] = ()
    """Of a `Plan`: into which the recording is cut; none: it is to be done whole."""
    unfit: str = ""
    """Of a `Part`: why it does not fit what was planned; empty: it does, or it was stopped."""
    failure: Failure | None = None
    look: Look | None = None
    """The last one."""


class Shared(Struct, frozen=True):
    """What every node must see as the machine does that the run was started on."""

    mark: str
    """A file beside the outputs."""
    content: str
    """What stands in it."""
    source: str
    """A recording; empty: none of them was there."""


class Site(Struct, frozen=True):
    """What a runner found where it was started."""

    host: str
    version: str
    """Of posestream."""
    code: str
    """Digest of its files, bundled weights among them."""
    weights: str
    """Digest of the file of weights; empty where they come with the model's name."""
    missing: str
    """What `Shared` names and is not there, or another; empty: nothing."""
    asks_for_token: bool
    """Whether its Ray asks for a token."""


def to_bytes(value: Any) -> bytes:
    """The bytes of one of the above."""
    return msgspec.msgpack.encode(value)


def from_bytes(data: bytes, kind: type[T]) -> T:
    """The value that `to_bytes` was given."""
    return msgspec.msgpack.decode(data, type=kind)


def task_from(data: bytes) -> Task:
    """The task that `to_bytes` was given."""
    task: Task = msgspec.msgpack.decode(data, type=Task)
    return task
