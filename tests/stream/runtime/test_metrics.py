"""Figures of a stage are its own, and true."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from stream.messages import End, Frame, Message, Pixels, frame_of
from stream.runtime.metrics import Meter, Metered, timed_source
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
        meter.add(1, time_ms / 1000)
    figures = meter.figures()
    expected = np.percentile(times_ms, [50, 95, 99])
    assert [figures.p50_ms, figures.p95_ms, figures.p99_ms] == pytest.approx(expected, rel=0.025)
    assert figures.frames == 5000
    assert figures.busy_s == pytest.approx(times_ms.sum() / 1000)


def test_a_stage_is_not_charged_for_its_consumer() -> None:
    fast, slow = Meter(), Meter()
    chain = Chain([Metered("fast", Takes(0.001), fast), Metered("slow", Takes(0.05), slow)])
    for _ in chain.process(frame()):
        pass
    assert slow.figures().busy_s >= 0.1
    assert 0.002 <= fast.figures().busy_s < 0.05


def test_a_source_is_not_charged_for_its_consumer() -> None:
    meter = Meter()
    for message in timed_source("decode", meter, [frame(), End("a", 1)]):
        list(Takes(0.01).process(message))
    assert meter.figures().frames == 1
    assert meter.figures().busy_s < 0.01


def test_only_frames_are_counted_and_stamped() -> None:
    meter = Meter()
    stage = Metered("nms", Takes(0.0), meter)
    before = time.monotonic_ns()
    (given,) = stage.process(frame())
    list(stage.process(End("a", 1)))
    stamped = frame_of(given)
    assert stamped is not None
    assert before <= stamped.times_ns["nms"] <= time.monotonic_ns()
    assert meter.figures().frames == 1
