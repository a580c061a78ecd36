"""What the driver of a run asks of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class Came(NamedTuple):
    """A runner was placed on a node and looked around there."""

    runner: int
    site: bytes


class Looked(NamedTuple):
    """A runner has said where its task stands."""

    runner: int
    look: bytes


class Did(NamedTuple):
    """A runner is done with its task."""

    runner: int
    outcome: bytes


class Lost(NamedTuple):
    """A runner is gone."""

    runner: int
    reason: str
    """For people."""


Event = Came | Looked | Did | Lost


class Fleet(Protocol):
    """Runners on the nodes of a cluster, by number."""

    def room(self) -> int:
        """How many runners the nodes have room for, those that are there included."""

    def add(self) -> int:
        """Ask for one more runner: its number, under which it is heard of."""

    def work(self, runner: int, task: bytes) -> None:
        """Let a runner, which has none, do a task."""

    def look(self, runner: int) -> None:
        """Ask a runner where its task stands."""

    def stop(self, runner: int) -> None:
        """Let a runner end its task with what is done."""

    def drop(self, runner: int) -> None:
        """Do without a runner, at once; it is not heard of again."""

    def events(self, wait_s: float) -> Iterable[Event]:
        """What has happened since, and for so long from now on if nothing has."""
