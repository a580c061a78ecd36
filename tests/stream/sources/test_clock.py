"""Times rise within an epoch, whatever the container says."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from stream.sources.clock import Clock

MS = Fraction(1, 1000)


def test_a_good_clock_is_left_alone() -> None:
    clock = Clock(25)
    assert [clock.time(pts, MS, (8, 8)) for pts in (100, 140, 500)] == [
        (100_000_000, ()),
        (140_000_000, ()),
        (500_000_000, ()),
    ]
    assert clock.epoch == 0


def test_a_small_step_back_is_lifted_and_a_large_one_breaks() -> None:
    clock = Clock(25)
    clock.time(5000, MS, (8, 8))
    lifted_ns, flags = clock.time(4990, MS, (8, 8))
    assert 5_000_000_000 < lifted_ns < 5_001_000_000
    assert (flags, clock.epoch) == (("timing_repaired",), 0)
    assert clock.time(3000, MS, (8, 8)) == (3_000_000_000, ())
    assert clock.epoch == 1


def test_a_missing_time_is_one_frame_after_the_last() -> None:
    clock = Clock(50)
    clock.time(1000, MS, (8, 8))
    assert clock.time(None, MS, (8, 8)) == (1_020_000_000, ("timing_assumed",))


def test_another_size_breaks_and_keeps_its_own_time() -> None:
    clock = Clock(25)
    clock.time(1000, MS, (8, 8))
    assert clock.time(900, MS, (16, 8)) == (900_000_000, ())
    assert clock.epoch == 1


@given(st.lists(st.tuples(st.none() | st.integers(0, 10_000), st.sampled_from([(8, 8), (16, 8)]))))
def test_times_rise_within_every_epoch(frames: list[tuple[int | None, tuple[int, int]]]) -> None:
    clock = Clock(25)
    last: dict[int, int] = {}
    for pts, size in frames:
        now_ns, _ = clock.time(pts, MS, size)
        assert now_ns > last.get(clock.epoch, -1)
        last[clock.epoch] = now_ns
