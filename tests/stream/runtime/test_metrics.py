"""Figures of a stage are its own, and true."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
from msgspec import structs
from numbered import Gives

from stream.figures import StageFigures
from stream.messages import Drop, End, Frame, Message, Pixels, frame_of
from stream.runtime.metrics import Meter, Metered, StageMeter, timed
from stream.stage import Chain, Stage


class Takes(Stage):
    """Works for so long, before and after it gives."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def process(self, message: Message) -> Iterator[Message]:
        self._work()
        yield message
        self._work()

    def _work(self) -> None:
        until = time.monotonic() + self._seconds
        while time.monotonic() < until:
            pass


def frame() -> Frame:
    return Frame("a", 0, 0, 0, 0, 0, 2, 2, Pixels(np.zeros((2, 2, 3), np.uint8)))


def test_percentiles_are_right_within_two_percent() -> None:
    meter, times_ms = Meter(), np.random.default_rng(0).lognormal(2, 1, 5000)
    for time_ms in times_ms:
        meter.add(1, time_ms / 1000, time_ms / 1000)
    figures = meter.figures()
    expected = np.percentile(times_ms, [50, 95, 99])
    assert [figures.p50_ms, figures.p95_ms, figures.p99_ms] == pytest.approx(expected, rel=0.025)
    assert figures.frames == 5000
    assert figures.busy_s == pytest.approx(times_ms.sum() / 1000)


def test_a_stage_is_not_charged_for_its_consumer() -> None:
    fast, slow = StageMeter(), StageMeter()
    chain = Chain([Metered("fast", Takes(0.001), fast), Metered("slow", Takes(0.05), slow)])
    for _ in chain.process(frame()):
        pass
    assert slow.figures().busy_s >= 0.1
    assert 0.002 <= fast.figures().busy_s < 0.05


def test_a_source_is_not_charged_for_its_consumer() -> None:
    meter = StageMeter()
    for message in timed("decode", meter, [frame(), End("a", 1)], one_by_one=True):
        list(Takes(0.01).process(message))
    assert meter.figures().frames == 1
    assert meter.figures().busy_s < 0.01


def test_only_frames_are_counted_and_stamped() -> None:
    meter = StageMeter()
    stage = Metered("nms", Takes(0.0), meter)
    before = time.monotonic_ns()
    (given,) = stage.process(frame())
    list(stage.process(End("a", 1)))
    stamped = frame_of(given)
    assert stamped is not None
    assert before <= stamped.times_ns["nms"] <= time.monotonic_ns()
    assert meter.figures().frames == 1


class Batches(Takes):
    """Works only when it has gathered so many frames, and gives them together."""

    def __init__(self, seconds: float, size: int) -> None:
        super().__init__(seconds)
        self._size = size
        self._held: list[Message] = []

    def process(self, message: Message) -> Iterator[Message]:
        self._held.append(message)
        if len(self._held) == self._size:
            self._work()
            held, self._held = self._held, []
            yield from held


def test_the_frames_of_a_batch_share_its_time() -> None:
    meter = StageMeter()
    stage = Metered("infer", Batches(0.08, 8), meter)
    given = [message for _ in range(16) for message in stage.process(frame())]
    figures = meter.figures()
    assert len(given) == figures.frames == 16
    assert figures.p50_ms == pytest.approx(10, rel=0.3)
    assert figures.p95_ms == pytest.approx(10, rel=0.3)


def test_an_end_carries_the_figures_of_its_source_alone() -> None:
    meter = StageMeter()
    stage = Metered("nms", Takes(0.0), meter)
    others = structs.replace(frame(), source="b")
    for message in [frame(), others, frame()]:
        list(stage.process(message))
    (end,) = stage.process(End("a", 2, stages={"decode": StageFigures(frames=2)}))
    assert isinstance(end, End)
    assert {name: figures.frames for name, figures in end.stages.items()} == {"decode": 2, "nms": 2}
    assert meter.figures().frames == 3


def test_a_frame_that_was_given_up_is_counted_once_by_the_stage_that_did_it() -> None:
    first, second = StageMeter(), StageMeter()
    chain = Chain([Metered("nms", Gives(1, "late"), first), Metered("track", Takes(0.0), second)])
    (drop,) = chain.process(frame())
    assert isinstance(drop, Drop)
    assert (drop.cause, drop.stage) == ("late", "nms")
    assert (first.figures().dropped, second.figures().dropped) == ({"late": 1}, {})
    assert (first.figures().frames, second.figures().frames) == (0, 0)
