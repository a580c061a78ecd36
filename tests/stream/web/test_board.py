"""The figures of the page: rates and ages of the last seconds."""

from __future__ import annotations

import numpy as np
import pytest
from web_made import begin, run_figures, source_figures, tracks

from stream.messages import Drop, Frame, Status
from stream.web.board import AGE_EDGES_S, Board, Now


class Clock:
    """A clock that a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def board(clock: Clock, *names: str) -> Board:
    made = Board(clock)
    made.take(run_figures(*(source_figures(name) for name in names or ("cam",))))
    return made


def only(made: Board) -> Now:
    (now,) = made.sources()
    return now


def dropped(index: int) -> Drop:
    frame: Frame = tracks(index, picture=False).frame
    return Drop(frame, "late")


def test_rates_count_what_came_and_what_was_tracked() -> None:
    clock = Clock()
    made = board(clock)
    for index in range(50):  # 20 a second come; every other one is dropped by a stage, and two by the source
        clock.now_s += 0.05
        if index % 2:
            made.drop(dropped(index))
        else:
            made.track(tracks(index, picture=False, dropped={"busy": 1} if index in (20, 30) else {}))
    now = only(made)
    assert now.fps_out == pytest.approx(10.0, abs=0.5)
    assert now.fps_in == pytest.approx(20.0 + 2 / 2.5, abs=1.0)


def test_a_source_that_stops_loses_its_rate() -> None:
    clock = Clock()
    made = board(clock)
    for index in range(31):
        clock.now_s += 0.1
        made.track(tracks(index, picture=False))
    assert only(made).fps_out == pytest.approx(10.0)
    clock.now_s += 1.5
    slower = only(made).fps_out
    assert slower is not None
    assert slower < 6.0
    clock.now_s += 5
    now = only(made)
    assert (now.fps_in, now.fps_out, now.age_p50_ms, now.people) == (None, None, None, None)


def test_ages_are_those_of_the_last_three_seconds() -> None:
    clock = Clock()
    made = board(clock)
    ages_ms = np.random.default_rng(4).uniform(5, 900, 60)
    for index, age_ms in enumerate(ages_ms):
        clock.now_s += 0.1
        made.track(tracks(index, picture=False, age_ms=age_ms))
    now, last = only(made), ages_ms[-30:]
    assert now.age_p50_ms == pytest.approx(np.percentile(last, 50), rel=0.05)
    assert now.age_p95_ms == pytest.approx(np.percentile(last, 95), rel=0.05)


def test_all_ages_are_in_the_histogram() -> None:
    made = board(Clock())
    ages_s = np.random.default_rng(5).uniform(0.001, 12, 300)
    for index, age_s in enumerate(ages_s):
        made.track(tracks(index, picture=False, age_ms=1000 * age_s))
    ages = made.ages()["cam"]
    edges = [0.0, *AGE_EDGES_S, np.inf]
    assert ages.counts == np.histogram(ages_s, edges)[0].tolist()
    assert ages.sum_s == pytest.approx(ages_s.sum())


def test_each_loss_of_a_source_is_counted_once() -> None:
    made = board(Clock())
    for state in ("starting", "ok", "reconnecting", "reconnecting", "ok", "degraded", "reconnecting", "failed"):
        made.status(Status("cam", state))  # type: ignore[arg-type]
    assert only(made).reconnects == 2


def test_size_is_that_of_square_pixels() -> None:
    made = board(Clock())
    made.begin(begin(pixel_aspect=(4, 3)))
    assert (only(made).width, only(made).height) == (427, 180)


def test_the_past_has_a_point_for_each_word_of_the_supervisor_and_does_not_grow() -> None:
    clock = Clock()
    made = Board(clock)
    for second in range(400):
        clock.now_s += 1
        made.track(tracks(second, picture=False))
        made.take(run_figures(source_figures(), seconds=float(second)))
    (points,) = made.history().values()
    assert [point.at_s for point in points] == [float(second) for second in range(100, 400)]
    assert points[-1].fps == pytest.approx(1.0)
    assert points[-1].age_p95_ms == pytest.approx(40.0)


def test_what_has_ended_and_is_told_of_no_more_is_forgotten() -> None:
    made = board(Clock(), "one", "two")
    for name in ("one", "two", "three"):
        made.begin(begin(name))
        made.track(tracks(0, name, picture=False))
    made.end("one")
    made.take(run_figures(source_figures("two")))
    assert set(made.ages()) == {"two", "three"}, "of three the supervisor has not heard yet"


def test_a_supervisor_that_says_nothing_is_noticed() -> None:
    clock = Clock()
    made = Board(clock)
    clock.now_s += 60
    assert made.silent_s() == 0
    made.take(run_figures())
    clock.now_s += 12
    assert made.silent_s() == 12
