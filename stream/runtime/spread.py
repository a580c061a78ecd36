"""Which worker of a pool gets what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import structs

from stream.messages import Begin, Cut, Drop, End, Frame, Message, frame_of

_M = TypeVar("_M", Begin, Frame, Cut, End)


class Spread:
    """Shares out the messages of a decoder over the workers that it feeds, and numbers them by source.

    A recording's frames go, so many together, to the worker that has the fewest; a live source stays with one
    worker, which knows how fast it keeps up. What is not a frame goes to all.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._orders: dict[str, int] = {}
        self._live: dict[str, int] = {}
        """Each live source's worker."""
        self._at = 0
        self._left = 0
        """Frames that the worker at hand is still to get before another one may be chosen."""
        self._last = ""
        """Source of the frame before."""
        self.together = 1
        """Frames of a source that a worker takes at once."""

    def again(self) -> None:
        """Count anew: the workers, and all behind them, were replaced."""
        self._orders, self._left = {}, 0

    def shared(self, message: Message, held: Callable[[int], int]) -> tuple[Message, Sequence[int]]:
        """The message with its order, and the workers that get it.

        Args:
            message: a source's next.
            held: how many frames the worker of a number, from 0, has at the moment.
        """
        if isinstance(message, Begin):
            if message.live:
                self._live.setdefault(message.spec.name, len(self._live) % self._workers)
            return self._numbered(message, message.spec.name), range(self._workers)
        if isinstance(message, Cut):
            self._left = 0  # what was gathered is worked off: the next batch may be another one's
            return self._numbered(message, message.source), range(self._workers)
        if isinstance(message, End):
            return self._numbered(message, message.source), range(self._workers)
        frame = message.frame if isinstance(message, Drop) else frame_of(message)
        if frame is None:
            return message, (0,)
        at = self._live[frame.source] if frame.source in self._live else self._chosen(frame.source, held)
        numbered = self._numbered(frame, frame.source)
        return numbered if message is frame else structs.replace(message, frame=numbered), (at,)

    def _chosen(self, source: str, held: Callable[[int], int]) -> int:
        if not self._left or source != self._last:
            in_turn = [(self._at + 1 + n) % self._workers for n in range(self._workers)]
            self._at = min(in_turn, key=held)
            self._left = self.together
        self._left -= 1
        self._last = source
        return self._at

    def _numbered(self, message: _M, source: str) -> _M:
        order = self._orders.get(source, 0)
        self._orders[source] = order + 1
        return structs.replace(message, order=order)
