"""A recording played at its own clock, as if it were live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from msgspec import structs

from stream.messages import Begin, End, Frame, Status
from stream.sources.livetime import Pace
from stream.sources.source import Source


class Realtime:
    """Another source whose frames come when they are due; who is slow misses some."""

    live = True

    def __init__(self, name: str, recording: Source, stop: Callable[[], bool]) -> None:
        self._recording, self._stop = recording, stop
        self.status = Status(name, "starting")

    def open(self) -> Begin | None:
        begin = self._recording.open()
        return begin and structs.replace(begin, live=True)

    def read(self) -> Iterator[Frame]:
        pace = Pace()
        for frame in self._recording.read():
            pace.wait(frame, self._stop)
            self.status = Status(frame.source, "ok")
            yield structs.replace(frame, captured_ns=time.monotonic_ns(), wall_ns=time.time_ns())

    def state(self) -> bytes:
        return self._recording.state()

    def end(self, problem: str = "") -> End:
        if problem:
            self.status = Status(self.status.source, "failed", problem)
        return self._recording.end(problem)

    def close(self) -> None:
        self._recording.close()
