"""How often a run may begin again before it is given up."""

from __future__ import annotations

import time

RESTARTS_MAX, WITHIN_S = 5, 60.0


class Restarts:
    """Five times in a minute, and five times in a row without anything done in between."""

    def __init__(self) -> None:
        self._at_s: list[float] = []
        self._in_vain = 0

    def take(self) -> str:
        """Use one up: which it is, for people; empty if there is none left."""
        now_s = time.monotonic()
        self._at_s = [at_s for at_s in self._at_s if now_s - at_s < WITHIN_S]
        if max(len(self._at_s), self._in_vain) >= RESTARTS_MAX:
            return ""
        self._at_s.append(now_s)
        self._in_vain += 1
        return f"{max(len(self._at_s), self._in_vain)} of {RESTARTS_MAX} restarts in {WITHIN_S:.0f} s"

    def succeed(self) -> None:
        """Take note that something was done since the last one."""
        self._in_vain = 0
