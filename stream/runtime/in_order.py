"""Puts the messages of a source back into the order that its reader gave them in."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from stream.messages import Begin, Cut, End, Frame, Message, Status
from stream.runtime.metrics import joined
from stream.stage import Stage


class InOrder(Stage):
    """In front of the first stage behind a pool: each message once, by its source and order.

    A frame goes through one worker of the pool; a Begin, a Cut and an End go through all of them, and are given once:
    an End when the last copy has come, with the figures of all. How many messages wait is bounded by the slots of the
    frames among them.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._next: dict[str, int] = {}
        """Order of the message of each source to be given next."""
        self._waiting: dict[str, dict[int, Message]] = {}
        self._ends: dict[str, list[End]] = {}

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Status):
            yield message  # it tells of the source, not of its frames
            return
        source, order = _place(message)
        following = self._next.setdefault(source, 0)
        if order < following:
            return
        waiting = self._waiting.setdefault(source, {})
        if not isinstance(message, End):
            waiting.setdefault(order, message)
        elif end := self._whole(message):
            waiting[order] = end
        while following in waiting:
            yield waiting.pop(following)
            following += 1
        self._next[source] = following
        if not waiting:
            del self._waiting[source]

    def flush(self) -> Iterator[Message]:
        """What still waits, in order: the run ends early, and what it waited for does not come."""
        for waiting in self._waiting.values():
            for order in sorted(waiting):
                yield waiting[order]
        for ends in self._ends.values():
            yield _joined(ends)
        self._waiting, self._ends = {}, {}

    def _whole(self, end: End) -> End | None:
        """The source's end, once each worker has given its copy."""
        ends = self._ends.setdefault(end.source, [])
        ends.append(end)
        return _joined(self._ends.pop(end.source)) if len(ends) == self._workers else None


def _joined(ends: list[End]) -> End:
    figures = ends[0].stages
    for end in ends[1:]:
        figures = joined(figures, end.stages)
    return structs.replace(ends[0], stages=figures)


def _place(message: Message) -> tuple[str, int]:
    match message:
        case Begin():
            return message.spec.name, message.order
        case Frame() | Cut() | End():
            return message.source, message.order
        case _:
            assert not isinstance(message, Status)
            return message.frame.source, message.frame.order
