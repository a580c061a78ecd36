from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from configs.schema import SmoothSettings
from stream.tracking.smooth import Smoother

ALL = np.array([0])
SIZE = np.array([100.0])
EMA = SmoothSettings(method="ema", tau_s=0.1, jump_share=0.35)
EURO = SmoothSettings(method="one-euro", tau_s=0.1, jump_share=0.35)


def steadied(points: np.ndarray, dt_s: float, settings: SmoothSettings, sure: float = 1.0) -> np.ndarray:
    """Steady one keypoint that is seen at (T, 2), and give where it was said to be, (T, 2)."""
    smoother = Smoother(1, settings)
    smoother.add(points[None, :1])
    given = [smoother.xy[0, 0].copy()]
    for point in points[1:]:
        smoother.update(ALL, point[None, None], np.array([[sure]]), SIZE, np.array([dt_s]))
        given.append(smoother.xy[0, 0].copy())
    return np.array(given)


def step(by_px: float, frames: int) -> np.ndarray:
    points = np.full((frames, 2), float(by_px))
    points[0] = 0
    return points


@pytest.mark.parametrize("settings", [EMA, EURO])
def test_a_keypoint_that_stays_is_reached(settings: SmoothSettings) -> None:
    assert steadied(step(20, 60), 0.04, settings)[-1] == pytest.approx([20, 20], abs=0.01)


def test_after_one_time_constant_two_thirds_of_the_way_are_done() -> None:
    assert steadied(step(20, 2), 0.1, EMA)[-1] == pytest.approx(20 * (1 - np.exp([-1, -1])))


@pytest.mark.parametrize("pieces", [2, 5])
def test_time_cut_into_pieces_changes_nothing(pieces: int) -> None:
    whole = steadied(step(20, 2), 0.06, EMA, 0.7)[-1]
    assert steadied(step(20, 1 + pieces), 0.06 / pieces, EMA, 0.7)[-1] == pytest.approx(whole)


@examples(deadline=None, max_examples=50)
@given(st.integers(0, 1000), st.sampled_from([0.01, 0.1]))
def test_the_average_stays_among_what_was_seen(seed: int, dt_s: float) -> None:
    points = np.random.default_rng(seed).uniform(-100, 100, (30, 2))
    given = steadied(points, dt_s, EMA, 0.8)
    for until in range(1, 30):
        assert (given[until] >= points[: until + 1].min(0) - 1e-9).all()
        assert (given[until] <= points[: until + 1].max(0) + 1e-9).all()


def test_a_keypoint_that_is_only_guessed_does_not_move_the_average() -> None:
    moved = [steadied(step(20, 2), 0.04, EMA, sure)[-1, 0] for sure in (0.0, 0.3, 1.0)]
    assert moved[0] == 0
    assert moved[1] < moved[2] / 2


@pytest.mark.parametrize("settings", [EMA, EURO])
def test_one_astray_sighting_moves_a_keypoint_by_less_than_the_jump_that_is_allowed(settings: SmoothSettings) -> None:
    points = step(0, 5)
    points[3] = [900, 0]
    given = steadied(points, 0.02, settings)
    assert 0 < given[3, 0] < 35
    assert given[4, 0] < given[3, 0]


@pytest.mark.parametrize(("dt_s", "frames"), [(0.02, 8), (0.05, 3), (0.2, 1)])
def test_a_jump_is_believed_once_it_has_lasted_at_any_frame_rate(dt_s: float, frames: int) -> None:
    given = steadied(step(900, 12), dt_s, EMA)[:, 0]
    assert given[:frames].max() < 35 * frames
    assert given[frames:] == pytest.approx(900)


def test_what_counts_as_a_jump_grows_with_the_person() -> None:
    large = Smoother(1, EMA)
    large.add(np.zeros((1, 1, 2)))
    large.update(ALL, np.full((1, 1, 2), 900.0), np.ones((1, 1)), SIZE * 100, np.array([0.2]))
    assert large.xy[0, 0] == pytest.approx(900 * (1 - np.exp([-2, -2])))


def test_one_euro_steadies_a_still_keypoint_like_the_average_and_follows_a_fast_one_closer() -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (100, 2))
    run = np.linspace([0, 0], [300, 0], 100)  # three sizes in two seconds
    still = [np.diff(steadied(noise, 0.02, settings)[20:], axis=0).std() for settings in (EMA, EURO)]
    late = [np.abs(steadied(run, 0.02, settings) - run)[20:].mean() for settings in (EMA, EURO)]
    assert still[1] < 1.5 * still[0] < 0.5 * np.diff(noise, axis=0).std()
    assert late[1] < 0.5 * late[0]


@pytest.mark.parametrize(("method", "tau_s"), [("none", 0.1), ("ema", 0.0), ("one-euro", 0.0)])
def test_switched_off_gives_what_was_seen(method: Literal["none", "ema", "one-euro"], tau_s: float) -> None:
    settings = SmoothSettings(method=method, tau_s=tau_s)
    points = np.random.default_rng(0).uniform(-100, 100, (5, 2))
    assert steadied(points, 0.04, settings) == pytest.approx(points)


@pytest.mark.parametrize("settings", [EMA, EURO])
def test_after_a_restart_everybody_stands_where_next_seen(settings: SmoothSettings) -> None:
    smoother = Smoother(1, settings)
    smoother.add(np.zeros((2, 1, 2)))
    smoother.restart()
    smoother.update(ALL, np.full((1, 1, 2), 10.0), np.full((1, 1), 0.1), SIZE, np.zeros(1))
    assert smoother.xy[:, 0, 0].tolist() == [10, 0]
    smoother.update(ALL, np.full((1, 1, 2), 20.0), np.full((1, 1), 0.1), SIZE, np.full(1, 0.02))
    assert 10 < smoother.xy[0, 0, 0] < 15


def test_people_who_stay_keep_their_own_keypoints() -> None:
    smoother = Smoother(1, EMA)
    smoother.add(np.array([[[1.0, 1]], [[2, 2]], [[3, 3]]]))
    smoother.keep(np.array([False, True, True]))
    smoother.update(np.array([1]), np.array([[[3.0, 9]]]), np.ones((1, 1)), SIZE, np.array([0.1]))
    assert smoother.xy[0].tolist() == [[2, 2]]
    assert smoother.xy[1, 0, 0] == 3
    assert smoother.xy[1, 0, 1] > 6
