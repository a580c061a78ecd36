"""Where a live source stood, for the decoder that goes on with it after another has died."""

from __future__ import annotations

import msgspec
from msgspec import Struct


class Place(Struct, frozen=True):
    """A frame of a live source, in the source and in time."""

    index: int
    epoch: int
    pts_ns: int = 0
    """When it is shown, by the source's own clock."""
    captured_ns: int = 0
    """When it was decoded, on this machine's monotonic clock."""


def to_state(place: Place) -> bytes:
    """What `SourceSpec.states["decode"]` takes to go on after that frame, with the next index and another epoch."""
    return msgspec.msgpack.encode(place)


def from_state(state: bytes) -> Place:
    """The place that `to_state` was given."""
    return msgspec.msgpack.decode(state, type=Place)
