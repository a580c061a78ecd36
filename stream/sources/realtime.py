"""A recording played at its own clock, as if it were live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from msgspec import structs

from stream.messages import Begin, End, Frame, SourceSpec, Status
from stream.position import Place, from_state, to_state
from stream.sources.livetime import Pace
from stream.sources.source import NoFrames, Source

_EARLY_S = 1.0  # a seek may miss by so much


class Realtime:
    """Another source whose frames come when they are due; who is slow misses some.

    Continued after a frame, it goes on where it would be by now: what would have been shown meanwhile is a gap in the
    index, counted by the frame rate.
    """

    live = True

    def __init__(self, spec: SourceSpec, make: Callable[[SourceSpec], Source], stop: Callable[[], bool]) -> None:
        """Not opened yet.

        Args:
            spec: of the recording; its state, if there is one, is continued with the next epoch.
            make: the recording that a spec names.
            stop: asked while it waits.
        """
        state = spec.states.get("decode")
        self._after = from_state(state) if state else None
        self._spec, self._make, self._stop = structs.replace(spec, states={}), make, stop
        self._recording = make(self._spec)
        self._last = self._after or Place(-1, -1)
        self._first = self._last.index + 1
        """Index of the recording's first frame."""
        self._epoch = self._last.epoch + 1
        self._now_ns = 0
        """Where it would be when it is continued, by its own clock."""
        self._fps = 0.0
        self._pace = Pace()
        self.status = Status(spec.name, "starting")

    def open(self) -> Begin | None:
        begin = self._recording.open()
        if begin is not None and self._after is not None:
            self._go_on(self._after, begin)
        return begin and structs.replace(begin, live=True)

    def read(self) -> Iterator[Frame]:
        for frame in self._recording.read():
            if self._after and frame.index == 0:
                self._first = self._after.index + round((frame.pts_ns - self._after.pts_ns) / 1e9 * self._fps)
            if self._after and frame.epoch == 0 and frame.pts_ns < self._now_ns:
                continue
            self._pace.wait(frame, self._stop)
            self.status = Status(frame.source, "ok")
            now_ns, index = time.monotonic_ns(), max(self._first + frame.index, self._last.index + 1)
            self._last = Place(index, self._epoch + frame.epoch, frame.pts_ns, now_ns)
            yield structs.replace(
                frame, index=index, epoch=self._last.epoch, captured_ns=now_ns, wall_ns=time.time_ns()
            )

    def state(self) -> bytes:
        return to_state(self._last)

    def end(self, problem: str = "") -> End:
        if problem:
            self.status = Status(self.status.source, "failed", problem)
        return structs.replace(self._recording.end(problem), before=self._first)

    def close(self) -> None:
        self._recording.close()

    def _go_on(self, last: Place, begin: Begin) -> None:
        """Open the recording anew where it would be by now, after that last frame."""
        first_ns = next(iter(self._recording.read())).pts_ns
        self._now_ns = last.pts_ns + time.monotonic_ns() - last.captured_ns
        later_s = max((self._now_ns - first_ns) / 1e9 - _EARLY_S, 0.0)
        self._recording.close()
        self._recording = self._make(structs.replace(self._spec, start_s=begin.start_s + later_s))
        self._pace = Pace(last.captured_ns - last.pts_ns)
        self._fps = begin.fps
        with suppress(NoFrames):  # it would have ended by now
            self._recording.open()
