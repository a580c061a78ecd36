"""Time, epochs and attempts of live sources."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from configs.sources import LiveSettings
from stream.messages import Frame
from stream.sources.livetime import LiveClock, Pace
from stream.sources.retry import Retry

MS = Fraction(1, 1000)
SIZE = (640, 480)
SECOND = 10**9


def clocked(*frames: tuple[int | None, float, tuple[object, ...]]) -> list[tuple[int, float]]:
    """Epoch and time in seconds of frames, given as milliseconds of the source, seconds of capture and shape."""
    clock = LiveClock(-1)
    clock.begin()
    given = []
    for pts, at_s, shape in frames:
        at_ns, _ = clock.time(pts, MS, shape, round(at_s * SECOND))
        given.append((clock.epoch, at_ns / SECOND))
    return given


def test_a_steady_source_keeps_its_epoch_and_its_times() -> None:
    assert clocked((40, 7.0, SIZE), (80, 7.0, SIZE), (120, 9.0, SIZE)) == [(0, 0.04), (0, 0.08), (0, 0.12)]


@pytest.mark.parametrize("pts_ms", [60_000, 10])
def test_a_clock_that_jumps_begins_an_epoch(pts_ms: int) -> None:
    assert clocked((5000, 1.0, SIZE), (pts_ms, 1.04, SIZE))[1] == (1, pts_ms / 1000)


def test_a_gap_that_has_really_passed_begins_none() -> None:
    assert clocked((0, 1.0, SIZE), (60_000, 61.0, SIZE)) == [(0, 0.0), (0, 60.0)]


def test_another_shape_begins_an_epoch() -> None:
    assert clocked((0, 1.0, SIZE), (40, 1.04, (480, 640)), (80, 1.08, (480, 640))) == [(0, 0.0), (1, 0.04), (1, 0.08)]


def test_a_source_without_a_clock_has_the_times_of_arrival() -> None:
    assert clocked((None, 5.0, SIZE), (None, 5.25, SIZE), (None, 6.0, SIZE)) == [(0, 0.0), (0, 0.25), (0, 1.0)]


def shown_at(pts_ms: int, epoch: int = 0) -> Frame:
    return Frame("a", epoch, 0, pts_ms * 10**6, 0, 0, 4, 4, None)


def test_pace_waits_until_a_frame_is_due_and_never_makes_up_for_lateness() -> None:
    pace, began_s = Pace(), time.monotonic()
    for pts_ms in (5000, 5050, 5100):
        pace.wait(shown_at(pts_ms), lambda: False)
    assert 0.1 <= time.monotonic() - began_s < 1.0
    pace.wait(shown_at(0), lambda: False)  # five seconds late
    began_s = time.monotonic()
    pace.wait(shown_at(100), lambda: False)
    assert time.monotonic() - began_s >= 0.09


def test_pace_does_not_wait_for_the_clock_of_another_epoch() -> None:
    pace, began_s = Pace(), time.monotonic()
    pace.wait(shown_at(0), lambda: False)
    pace.wait(shown_at(60_000, epoch=1), lambda: False)
    assert time.monotonic() - began_s < 1


def test_pace_gives_way_to_a_stop() -> None:
    pace, began_s = Pace(), time.monotonic()
    pace.wait(shown_at(0), lambda: False)
    pace.wait(shown_at(60_000), lambda: True)
    assert time.monotonic() - began_s < 1


def test_waits_grow_to_a_limit_and_begin_anew_after_a_frame() -> None:
    retry = Retry(LiveSettings(retry_s=0.5, retry_max_s=5.0))
    waits_s = [retry.next_s(False) or 0 for _ in range(12)]
    for attempt, wait_s in enumerate(waits_s):
        longest_s = min(0.5 * 1.5**attempt, 5.0)
        assert 0.8 * longest_s <= wait_s <= longest_s
    assert len({wait_s / 5 for wait_s in waits_s[-5:]}) > 1  # jitter
    retry.reset()
    assert (retry.next_s(False) or 0) <= 0.5


def test_a_refused_password_is_tried_again_slowly_and_attempts_are_counted() -> None:
    retry = Retry(LiveSettings(reconnect_limit=2))
    assert (retry.next_s(True) or 0) >= 48
    assert retry.next_s(False) is not None
    assert retry.next_s(False) is None
