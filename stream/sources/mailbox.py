"""A place for one frame between a thread that reads and one that takes: a newer frame replaces one not yet taken."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest item at most; one thread puts, another takes. Neither waits for the other."""

    def __init__(self, changed: Condition | None = None) -> None:
        """Empty and open.

        Args:
            changed: notified after each change; several mailboxes may share one, to be waited for together.
        """
        self.changed = changed or Condition()
        self._item: T | None = None
        self._lost: dict[str, int] = {}
        self._dropped: dict[str, int] = {}
        self._closed = False

    def put(self, item: T, before: Mapping[str, int] | None = None) -> None:
        """Leave an item; one that nobody has taken is dropped as "busy", and after `close` this one as "closed".

        Args:
            item: the newest one.
            before: how many are missing just before it that never came here, by cause; told with the next one taken.
        """
        with self.changed:
            self._miss(before)
            if self._closed:
                self._drop("closed")
                return
            if self._item is not None:
                self._drop("busy")
            self._item = item
            self.changed.notify_all()

    def drop(self, cause: str, before: Mapping[str, int] | None = None) -> None:
        """Count an item that was not put, as "late", and those that are missing just before it."""
        with self.changed:
            self._miss(before)
            self._drop(cause)

    def empty(self, cause: str) -> None:
        """Drop the item that lies there, if there is one."""
        with self.changed:
            if self._item is not None:
                self._item = None
                self._drop(cause)

    def take(self, timeout_s: float | None = None) -> tuple[T, dict[str, int]] | None:
        """The item, and how many were dropped or missing since the one before it, by cause.

        None after `timeout_s` seconds (None: however long it takes) and, always, once the mailbox is closed and empty.
        """
        with self.changed:
            self.changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            if self._item is None:
                return None
            taken = self._item, self._lost
            self._item, self._lost = None, {}
            return taken

    def close(self) -> None:
        """Take nothing more; what lies there can still be taken."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    @property
    def ready(self) -> bool:
        """True if `take` would not wait."""
        with self.changed:
            return self._closed or self._item is not None

    @property
    def done(self) -> bool:
        """True once it is closed and empty."""
        with self.changed:
            return self._closed and self._item is None

    @property
    def dropped(self) -> dict[str, int]:
        """Items dropped so far, by cause."""
        with self.changed:
            return dict(self._dropped)

    def _miss(self, counts: Mapping[str, int] | None) -> None:
        for cause, count in (counts or {}).items():
            self._lost[cause] = self._lost.get(cause, 0) + count

    def _drop(self, cause: str) -> None:
        for counts in (self._dropped, self._lost):
            counts[cause] = counts.get(cause, 0) + 1
