"""How often the user has asked a run to stop."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupts:
    """Counts Ctrl-C, SIGTERM and SIGHUP while a run lasts."""

    def __init__(self) -> None:
        self._signals: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup
            self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        self._signals.append(number)

    def count(self) -> int:
        """How often the user has asked to stop."""
        return len(self._signals)

    def exit_code(self) -> int:
        """128 and the first signal's number; 0 if none came."""
        return 128 + self._signals[0] if self._signals else 0
