"""The rate that was asked for is held, by as little as it takes, and nothing flaps."""

from __future__ import annotations

import pytest

from stream.pace import STEPS, WINDOW_NS, Pace


def run(pace: Pace, seconds: int, source_fps: float, work_s: float, start_s: int = 0) -> tuple[list[float], list[str]]:
    """A network that takes `work_s` for a whole frame, fed by a source: its rate and what was said, each second."""
    rates, said = [], []
    for second in range(start_s, start_s + seconds):
        if pace.is_over(second * WINDOW_NS):
            cost_s = work_s * pace.step.cost
            fps = min(source_fps, 1 / cost_s)
            rates.append(fps)
            if line := pace.judge(second * WINDOW_NS, {"a": round(fps)}, round(fps * cost_s * WINDOW_NS)):
                said.append(line)
    return rates, said


def test_a_network_that_is_fast_enough_does_all_the_work() -> None:
    pace = Pace(25)
    rates, said = run(pace, 60, source_fps=25, work_s=0.03)
    assert (set(rates), said, pace.step) == ({25.0}, [], STEPS[0])


@pytest.mark.parametrize(("work_s", "step"), [(0.06, 1), (0.1, 2), (0.15, 3), (0.4, 4), (5.0, 4)])
def test_as_little_work_is_left_out_as_holds_the_rate(work_s: float, step: int) -> None:
    pace = Pace(25)
    rates, said = run(pace, 60, source_fps=25, work_s=work_s)
    assert pace.step == STEPS[step]
    assert len(said) == step, "it went back and forth"
    if work_s < 1:
        assert rates[-1] == pytest.approx(25, rel=0.05)


def test_it_goes_back_to_all_the_work_once_there_is_room() -> None:
    pace = Pace(25)
    run(pace, 30, source_fps=25, work_s=0.15)
    assert pace.step == STEPS[3]
    _, said = run(pace, 60, source_fps=25, work_s=0.02, start_s=30)
    assert pace.step == STEPS[0]
    assert said[-1] == "there is room: the network looks at every frame"


def test_a_slow_source_is_no_reason_to_leave_work_out() -> None:
    pace = Pace(25)
    _, said = run(pace, 60, source_fps=10, work_s=0.03)
    assert said == []


def test_near_the_limit_it_stays_where_it_is() -> None:
    """Twice the work would just fit, and just not: it must not try again and again."""
    pace = Pace(25)
    _, said = run(pace, 300, source_fps=25, work_s=0.0405)
    assert len(said) <= 1


def test_the_slowest_source_counts() -> None:
    pace = Pace(25)
    pace.is_over(0)
    for second in range(1, 3):
        assert pace.is_over(second * WINDOW_NS)
        line = pace.judge(second * WINDOW_NS, {"a": 40, "b": 12}, WINDOW_NS)
    assert line == "12.0 of 25 frames a second: the network looks at every 2nd frame"
