"""From when to when each person of a clip is there, for formats with a file a person."""

from __future__ import annotations

from dataclasses import dataclass

from stream.export.clip import Clip


@dataclass
class Span:
    """The frames from a person's first to their last."""

    first: int
    """Place among the clip's records."""
    last: int
    first_index: int
    """Index of the source's frame."""
    last_index: int


def spans(clip: Clip) -> dict[int, Span]:
    """Id -> when that person is there."""
    found: dict[int, Span] = {}
    for at, record in enumerate(clip):
        for person in record.people:
            span = found.setdefault(person.id, Span(at, at, record.index, record.index))
            span.last, span.last_index = at, record.index
    return found
