"""Frames worked on side by side: where a network is too small to keep all cores busy with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from engines.model.parts import Parts, SideBySide

T = TypeVar("T")
R = TypeVar("R")


class Crew:
    """Some threads, and parts that all of them may use. Both are made when they are first wanted."""

    def __init__(self, how: SideBySide) -> None:
        """Begin with nothing."""
        self.at_once = how.at_once
        self._make = how.make
        self._parts: Parts | None = None
        # It ends its threads when nobody holds it any more.
        self._pool = ThreadPoolExecutor(how.at_once, "frame", initializer=_alone)

    def map(self, work: Callable[[Parts, T], R], each: Iterable[T]) -> list[R]:
        """Results of `work` for each item, in order.

        Raises:
            Exception: whatever `work` raises.
        """
        if self._parts is None:
            self._parts = self._make()
        parts = self._parts
        return list(self._pool.map(lambda one: work(parts, one), each))


def _alone() -> None:
    torch.set_num_threads(1)  # of this thread alone: between the network's parts it has one core
