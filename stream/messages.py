"""What stages hand to each other; `stream.wire` makes bytes of it.

Letters: N people of a frame, K = 17 keypoints, H x W source pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engines.ops.people import F, People
from stream.address import label_of, path_of
from stream.figures import StageFigures


class WireError(ValueError):
    """Bytes that are not a message of this version."""


@dataclass(frozen=True)
class Slot:
    """Where a picture lies in a frame store."""

    store: int
    """Which decoder's store."""
    index: int
    """Which slot of it."""
    generation: int
    """How often that slot has been filled: a stale reader notices."""


class Pixels:
    """A picture of this process and, if it lies in a frame store, where."""

    __slots__ = ("array", "slot")

    def __init__(self, array: NDArray[np.uint8], slot: Slot | None = None) -> None:
        self.array = array
        """(H, W, 3) RGB, upright; read only for everyone but its maker."""
        self.slot = slot
        """None: an ordinary array of this process alone."""


class SourceSpec(Struct, frozen=True):
    """One source of a run."""

    name: str
    """Unique in the run; names its output folder and its records."""
    kind: Literal["file", "images", "camera", "stream", "pipe", "messages"]
    """images: a folder whose pictures, sorted by name, are the frames; stream: a network address; messages: a file
    that `--dump` has written."""
    uri: str
    """A path, a camera's number, a network address, "-" for stdin; a `file:` URI where a path is not valid Unicode.

    It may hold a password: `label` is what people and files see.
    """
    folder: str = ""
    """Where this source's outputs go; empty: nowhere."""
    states: dict[str, bytes] = {}
    """Stage -> its snapshot at the `Cut` that this run continues from; empty: from the beginning."""
    start_s: float | None = None
    """Frames before this time of the source are left out; None: as the settings say."""
    end_s: float | None = None
    """Frames at or after this time of the source are left out; None: as the settings say."""
    realtime: bool = False
    """A file or folder is played at its own clock, as if it were live."""
    paused: bool = False
    """Of a live source no frames are taken at first."""
    poison: tuple[int, ...] = ()
    """Frames on which stages have died: they are given with the flag "error", and no stage looks into them."""
    alone: bool = False
    """The network is to see its frames one by one: one of a batch has killed it."""
    given_up: GivenUp | None = None
    """Reading it has died again and again: its outputs end with its states."""

    @property
    def live(self) -> bool:
        """True if it goes on whether or not anybody reads."""
        return self.realtime or self.kind in ("camera", "stream", "pipe")

    @property
    def path(self) -> str:
        """The path that opens it."""
        return path_of(self.uri)

    @property
    def label(self) -> str:
        """Its address for people and records: one printable line without secrets."""
        return label_of(self.uri)

    def __repr__(self) -> str:
        return f"SourceSpec({self.name!r}, {self.kind!r}, {self.label!r})"


class Begin(Struct, frozen=True, tag="begin"):
    """A source was opened."""

    spec: SourceSpec
    width: int
    """Pixels of the upright picture."""
    height: int
    fps: float
    """Average frame rate; assumed where the source has no clock."""
    frames: int | None = None
    """How many frames are to come; None if unknown. An estimate."""
    duration_s: float | None = None
    """Length of what will be read, in seconds; None if unknown."""
    bit_rate: int | None = None
    """Bits a second of the source's video; None if unknown."""
    live: bool = False
    """A live source drops what is late; any other loses nothing."""
    again: bool = False
    """The stages behind the source were restarted: what was written of it stays, and its frames go on."""
    start_s: float = 0.0
    """Where in the source reading begins."""
    end_s: float | None = None
    """Where in the source reading ends; None: at its end."""
    end_ns: int | None = None
    """When the last of its frames has been shown, on the frames' clock; None if unknown. An estimate."""
    sound: bool = False
    """True if the file holds sound."""
    pixel_aspect: tuple[int, int] = (1, 1)
    """Width to height of a pixel of the upright picture, as 64:45."""
    order: int = 0
    """As of a `Frame`."""


class GivenUp(Struct, frozen=True):
    """A recording that is read no further."""

    problem: str
    begin: Begin | None
    """As it was opened before; None: it never was."""


class Frame(Struct, frozen=True, tag="frame"):
    """One picture of a source. (source, epoch, index) is its identity."""

    source: str
    epoch: int
    """Rises when the source's clock or size breaks."""
    index: int
    """Counts the source's frames from 0; a gap is a loss."""
    pts_ns: int
    """When it is shown, from the source's own clock; rises within an epoch."""
    captured_ns: int
    """When it was decoded, on this machine's monotonic clock."""
    wall_ns: int
    """The same moment since the Unix epoch: a label only."""
    width: int
    height: int
    pixels: Pixels | None
    """None: they were not needed any more where the frame went."""
    flags: tuple[str, ...] = ()
    """What was wrong with it, e.g. "damaged"; "error": stages have died on it."""
    dropped: dict[str, int] = {}
    """Cause -> frames lost just before this one: "busy", "damaged", "paused"."""
    times_ns: dict[str, int] = {}
    """Stage -> when it was done with this frame, on the monotonic clock."""
    pixel_aspect: tuple[int, int] = (1, 1)
    """Width to height of a pixel, as 64:45; (1, 1): square."""
    order: int = 0
    """Counts what its source's reader has given, Begin first; 0 where nothing can come out of order."""

    @property
    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB.

        Raises:
            WireError: the frame came without its pixels.
        """
        if self.pixels is None:
            raise WireError(f"frame {self.index} of {self.source} came without its pixels")
        return self.pixels.array


class Poses(Struct, frozen=True, tag="poses"):
    """The people found in a frame, not yet told apart over time."""

    frame: Frame
    people: People | None
    """None: nobody was looked for in this frame; the tracker carries its people on."""


class Tracks(Struct, frozen=True, tag="tracks"):
    """The people of a frame, each with an identity that lasts."""

    frame: Frame
    people: People
    """As detected, in the order of ids."""
    ids: NDArray[np.int64]
    """(N,) from 1, never used again within a source."""
    smooth: F
    """(N, 17, 2) smoothed keypoints, pixels of the upright source frame."""
    predicted: bool = False
    """Nobody was looked for in this frame: these are the people of the one before, moved on."""
    others: People | None = None
    """Who was found besides, and is not shown: too new, or too unsure to be followed; None: nobody asked for them."""


class Drop(Struct, frozen=True, tag="drop"):
    """A frame that a stage gave up, in the place of its message; it passes through to the sinks, which count it."""

    frame: Frame
    cause: str
    """Why, one word for the counts, e.g. "late"."""
    stage: str = ""
    """Which stage; filled in by the runtime."""


class Cut(Struct, frozen=True, tag="cut"):
    """A barrier between two frames of a source: each stage that it has passed is done with all before it."""

    source: str
    index: int
    """Of the first frame after it."""
    states: dict[str, bytes] = {}
    """Stage -> its snapshot here; `SourceSpec.states` takes it."""
    order: int = 0
    """As of a `Frame`."""


class Status(Struct, frozen=True, tag="status"):
    """How a live source is, told when it changes; it may come before the source's Begin."""

    source: str
    state: Literal["starting", "ok", "degraded", "reconnecting", "failed", "paused"]
    """degraded: frames are damaged, or long in coming; reconnecting: none come, and the source is tried again; paused:
    none are taken."""
    reason: str = ""
    """One line for people; empty if all is well."""


class End(Struct, frozen=True, tag="end"):
    """A source has ended; nothing of it follows."""

    source: str
    frames: int
    """Frames that were given."""
    damaged: int = 0
    """Packets or frames that could not be read, or only in part; a packet that is marked and its frame are one."""
    stopped: bool = False
    """True if the run was interrupted before the source's end."""
    problem: str = ""
    """Why it could not be opened or read on, one line; empty if it ended well."""
    stages: dict[str, StageFigures] = {}
    """Stage -> its figures for this source; each stage that it passes adds its own."""
    notes: tuple[str, ...] = ()
    """What else the user should know, a line each, such as which pictures could not be read."""
    lost: dict[str, int] = {}
    """Cause -> frames that a live source offered and that were not given: "busy", "damaged", "paused"."""
    before: int = 0
    """Frames that a live source had offered before its decoder was started anew; they are not among the above."""
    order: int = 0
    """As of a `Frame`."""


Message = Begin | Frame | Poses | Tracks | Drop | Cut | Status | End
"""All that travels between stages."""


def frame_of(message: Message) -> Frame | None:
    """The frame a message carries, None for all others; that of a `Drop` counts as one no more."""
    match message:
        case Frame():
            return message
        case Poses() | Tracks():
            return message.frame
        case _:
            return None
