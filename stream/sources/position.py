"""Where a live source was, for the decoder that goes on with it."""

from __future__ import annotations

BEGINNING = 0, -1
"""Of a source that has not begun: the next index, the last epoch."""


def to_state(index: int, epoch: int) -> bytes:
    """What `SourceSpec.states["decode"]` takes to go on.

    Args:
        index: of the next frame.
        epoch: of the last frame; the next one begins another.
    """
    return b"%d %d" % (index, epoch)


def from_state(state: bytes) -> tuple[int, int]:
    """Index and epoch that `to_state` was given."""
    index, epoch = (int(part) for part in state.split())
    return index, epoch
