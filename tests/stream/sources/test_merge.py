"""Recordings follow one another; live sources run side by side, and a slow reader gets the newest frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from configs.errors import SourceError
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec, Status
from stream.sources.merge import in_turn, merged


class Ticker:
    """A source whose frames come when `go` lets them; it notes what is done to it."""

    live = True

    def __init__(self, name: str, count: int, go: Callable[[int], None] = lambda number: None, fails: str = "") -> None:
        self.name, self.count, self.go, self.fails = name, count, go, fails
        self.given = 0
        self.closed = 0
        self.status = Status(name, "ok")

    def open(self) -> Begin:
        if self.fails == "open":
            raise SourceError(f"{self.name}: no route to host")
        return Begin(SourceSpec(self.name, "file", self.name), 2, 2, 25.0, live=True)

    def read(self) -> Iterator[Frame]:
        for number in range(self.count):
            self.go(number)
            self.given += 1
            yield Frame(self.name, 0, number, number, 0, 0, 2, 2, Pixels(np.zeros((2, 2, 3), np.uint8)))
        if self.fails == "read":
            raise SourceError(f"{self.name}: connection lost")
        if self.fails == "fault":
            raise ZeroDivisionError

    def state(self) -> bytes:
        return b""

    def end(self, problem: str = "") -> End:
        return End(self.name, self.given, problem=problem)

    def close(self) -> None:
        self.closed += 1


def by_source(messages: list[Message]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for message in messages:
        if isinstance(message, Status):
            continue
        name = message.spec.name if isinstance(message, Begin) else message.source  # type: ignore[union-attr]
        found.setdefault(name, []).append(type(message).__name__)
    return found


def test_recordings_follow_one_another_and_each_is_closed() -> None:
    sources = [Ticker("a", 2), Ticker("b", 0, fails="open"), Ticker("c", 1, fails="read")]
    messages = list(in_turn(sources, lambda: False))
    assert [type(message).__name__ for message in messages] == ["Begin", "Frame", "Frame", "End"] + ["End"] + [
        "Begin",
        "Frame",
        "End",
    ]
    assert [message.problem for message in messages if isinstance(message, End)] == [
        "",
        "b: no route to host",
        "c: connection lost",
    ]
    assert [source.closed for source in sources] == [1, 1, 1]


def test_every_live_source_gives_its_begin_its_frames_and_its_end() -> None:
    sources = [Ticker("a", 30), Ticker("b", 30), Ticker("c", 0, fails="open"), Ticker("d", 3, fails="read")]
    messages = list(merged(sources, lambda: False))
    found = by_source(messages)
    for name in ("a", "b", "d"):
        assert (found[name][0], found[name][-1]) == ("Begin", "End")
        assert set(found[name][1:-1]) == {"Frame"}
    assert found["c"] == ["End"]
    assert {m.source: m.problem for m in messages if isinstance(m, End)} == {
        "a": "",
        "b": "",
        "c": "c: no route to host",
        "d": "d: connection lost",
    }
    assert [source.closed for source in sources] == [1] * 4


def test_frames_that_were_replaced_are_counted_on_the_next() -> None:
    """A gap in the index is exactly what `dropped` says, and the newest frame comes."""
    frames = [message for message in merged([Ticker("a", 500)], lambda: False) if isinstance(message, Frame)]
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert indices[-1] == 499
    assert [frame.dropped.get("busy", 0) for frame in frames] == [
        now - before - 1 for before, now in zip([-1, *indices], indices, strict=False)
    ]


def test_a_source_that_stalls_keeps_no_other_waiting() -> None:
    released = threading.Event()
    stalled, running = Ticker("stalled", 1, go=lambda number: assert_set(released)), Ticker("running", 50)
    found: list[Message] = []
    for message in merged([stalled, running], lambda: False):
        found.append(message)
        if isinstance(message, End) and message.source == "running":
            released.set()
    assert by_source(found)["running"][-1] == "End"
    assert by_source(found)["stalled"] == ["Begin", "Frame", "End"]


def assert_set(event: threading.Event) -> None:
    assert event.wait(30)


def test_a_stop_ends_all_of_them() -> None:
    messages = list(merged([Ticker("a", 10**9), Ticker("b", 10**9)], lambda: True))
    ends = [message for message in messages if isinstance(message, End)]
    assert {end.source for end in ends} == {"a", "b"}
    assert all(end.stopped for end in ends)


def test_who_turns_away_leaves_no_thread_and_nothing_open() -> None:
    source = Ticker("a", 10**9)
    messages = merged([source], lambda: False)
    next(messages)
    messages.close()  # type: ignore[attr-defined]
    assert source.closed == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "source"]


def test_a_fault_in_a_source_s_thread_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(merged([Ticker("a", 1, fails="fault"), Ticker("b", 5)], lambda: False))
