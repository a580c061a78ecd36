"""Sources read by a thread, so that a test can wait for what comes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from threading import Condition, Event, Thread
from typing import Any

from msgspec import structs

from configs.sources import DecodeSettings, LiveSettings
from stream.decode import decode
from stream.messages import Begin, End, Frame, Message, SourceSpec, Status
from tests.media import number_of

QUICK = {"connect_timeout_s": 1.5, "read_timeout_s": 1.0, "retry_s": 0.2, "retry_max_s": 0.5}


class Watched(Thread):
    """Reads sources and keeps all messages, of pictures only their numbers."""

    def __init__(self, specs: Sequence[SourceSpec], **live: Any) -> None:
        super().__init__(daemon=True)
        self.messages: list[Message] = []
        self.numbers: list[int] = []
        self.came_s: list[float] = []
        self.error: BaseException | None = None
        self.halt = Event()
        self._changed = Condition()
        self._specs, self._live = specs, LiveSettings.model_validate(QUICK | live)

    def run(self) -> None:
        try:
            for message in decode(self._specs, DecodeSettings(), self.halt.is_set, self._live):
                with self._changed:
                    if isinstance(message, Frame):
                        self.numbers.append(number_of(message.picture))
                        self.came_s.append(time.monotonic())
                        message = structs.replace(message, pixels=None)
                    self.messages.append(message)
                    self._changed.notify_all()
        except BaseException as error:
            self.error = error
        finally:
            with self._changed:
                self.messages.append(None)  # type: ignore[arg-type]
                self._changed.notify_all()

    def until(self, what: Callable[[Watched], object], timeout_s: float = 10.0) -> float:
        """Wait for something; how long that took, in seconds."""
        began_s = time.monotonic()
        with self._changed:
            came = self._changed.wait_for(lambda: what(self) or self.messages[-1:] == [None], timeout_s)
        if self.error is not None:
            raise self.error
        assert came, f"not within {timeout_s} s: {self.states}, {len(self.frames)} frames, {self.ends}"
        assert what(self), f"ended before: {self.states}, {len(self.frames)} frames, {self.ends}"
        return time.monotonic() - began_s

    def until_frames(self, count: int, timeout_s: float = 10.0) -> float:
        """Wait for so many frames more."""
        wanted = len(self.frames) + count
        return self.until(lambda me: len(me.frames) >= wanted, timeout_s)

    @property
    def frames(self) -> list[Frame]:
        return [message for message in self.messages if isinstance(message, Frame)]

    @property
    def begins(self) -> list[Begin]:
        return [message for message in self.messages if isinstance(message, Begin)]

    @property
    def ends(self) -> list[End]:
        return [message for message in self.messages if isinstance(message, End)]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(message.state, message.reason) for message in self.messages if isinstance(message, Status)]


@contextlib.contextmanager
def watched(*specs: SourceSpec, **live: Any) -> Iterator[Watched]:
    """The sources are being read; at the end they are stopped."""
    watch = Watched(specs, **live)
    watch.start()
    try:
        yield watch
    finally:
        watch.halt.set()
        watch.join(5)
        assert not watch.is_alive()
