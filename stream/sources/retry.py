"""When a source is tried again."""

from __future__ import annotations

import random

from configs.sources import LiveSettings

_GROWTH = 1.5
_JITTER = 0.2  # so that many cameras behind one switch do not come all at once


class Retry:
    """Waits that grow from `retry_s` to `retry_max_s` while attempts fail."""

    def __init__(self, live: LiveSettings) -> None:
        self._live = live
        self.attempts = 0
        """In a row, without a frame."""

    def reset(self) -> None:
        """A frame has come."""
        self.attempts = 0

    def next_s(self, denied: bool) -> float | None:
        """Seconds until the next attempt; None if there shall be none.

        Args:
            denied: whether user or password were refused.
        """
        live = self._live
        self.attempts += 1
        if live.reconnect_limit is not None and self.attempts > live.reconnect_limit:
            return None
        grown_s = live.retry_s * _GROWTH ** min(self.attempts - 1, 50)
        wait_s = live.retry_denied_s if denied else min(grown_s, live.retry_max_s)
        return wait_s * random.uniform(1 - _JITTER, 1.0)
