"""Offline smoothing: no lag, the stated response, at any frame rate; slips and gaps bridged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from configs.schema import SmoothSettings
from stream.tracking.offline import smooth_track

SIZE_PX = 200.0
CUTOFF_HZ = 6.0


def smooth(times_s: np.ndarray, x: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray:
    """x of one keypoint that moves along x alone."""
    xy = np.stack([x, np.full(len(x), 50.0)], -1)[:, None]
    sure = np.ones(len(x)) if confidence is None else confidence
    settings = SmoothSettings(cutoff_hz=CUTOFF_HZ)
    made = smooth_track(times_s, xy, sure[:, None], np.full(len(x), SIZE_PX), settings)
    assert made[:, 0, 1] == pytest.approx(50)
    return made[:, 0, 0]


@pytest.mark.parametrize("rate_hz", [60, 120, 240])
@pytest.mark.parametrize("motion_hz", [0.5, 2.0, 4.0])
def test_fast_and_slow_motion_is_attenuated_as_stated(rate_hz: int, motion_hz: float) -> None:
    times_s = np.arange(0, 10, 1 / rate_hz)
    x = 60 * np.sin(2 * np.pi * motion_hz * times_s)  # wide: 0.3 of the person's size
    inner = slice(len(x) // 4, -len(x) // 4)
    expected = x / (1 + (motion_hz / CUTOFF_HZ) ** 4)
    assert np.abs(smooth(times_s, x) - expected)[inner].max() < 1.0


def test_it_is_a_butterworth_filter_run_forward_and_backward() -> None:
    times_s = np.arange(0, 8, 1 / 240)
    x = np.random.default_rng(0).normal(0, 3, len(times_s)).cumsum() / 5
    twin = filtfilt(*butter(2, CUTOFF_HZ, fs=240), x)
    inner = slice(240, -240)
    assert np.std((smooth(times_s, x) - twin)[inner]) < 0.03 * np.std((x - twin)[inner])


def test_past_and_future_are_alike() -> None:
    rng = np.random.default_rng(1)
    times_s = np.cumsum(rng.uniform(0.02, 0.06, 200))
    x, sure = rng.normal(0, 5, 200).cumsum(), rng.uniform(0, 1, 200)
    backward = smooth((times_s[-1] - times_s)[::-1], x[::-1], sure[::-1])[::-1]
    assert backward == pytest.approx(smooth(times_s, x, sure))


def test_a_straight_line_stays_one_at_any_times() -> None:
    times_s = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.2, 50))
    assert smooth(times_s, 30 * times_s) == pytest.approx(30 * times_s, abs=1e-6)


def test_half_the_frames_give_nearly_the_same_curve() -> None:
    times_s = np.arange(0, 6, 1 / 120)
    x = 40 * np.sin(2 * np.pi * 1.5 * times_s)
    assert np.abs(smooth(times_s, x)[::2] - smooth(times_s[::2], x[::2])).max() < 0.5


@pytest.mark.parametrize("rate_hz", [15, 30, 60])
def test_a_slip_is_taken_out_and_a_real_jump_kept(rate_hz: int) -> None:
    times_s = np.arange(0, 4, 1 / rate_hz)
    true = 20 * np.sin(2 * np.pi * 0.5 * times_s) + np.random.default_rng(3).normal(0, 0.5, len(times_s))
    slipped = true.copy()
    slipped[(times_s > 1) & (times_s < 1.13)] += 60  # as when left is taken for right
    assert np.abs(smooth(times_s, slipped) - smooth(times_s, true)).max() < 3
    jumped = true + np.where(times_s > 2, 60, 0)
    later = times_s > 2.3
    assert np.abs(smooth(times_s, jumped) - jumped)[later].max() < 3


def test_noise_goes_down_by_far() -> None:
    times_s = np.arange(0, 20, 1 / 30)
    noise = np.random.default_rng(4).normal(0, 3, len(times_s))
    assert np.std(smooth(times_s, noise)) < 0.7 * np.std(noise)
    assert np.std(np.diff(smooth(times_s, noise), 2)) < 0.25 * np.std(np.diff(noise, 2))


def test_what_is_missing_is_bridged_and_its_value_does_not_matter() -> None:
    times_s = np.arange(0, 4, 1 / 30)
    x = 40 * np.sin(2 * np.pi * 0.5 * times_s)
    gone = (times_s > 1.3) & (times_s < 1.6)
    sure = np.where(gone, np.nan, 1.0)
    holes = np.where(gone, 0.0, x)
    assert np.abs(smooth(times_s, holes, sure) - x).max() < 1


def test_an_unsure_keypoint_weighs_little() -> None:
    times_s = np.arange(0, 2, 1 / 30)
    x = np.zeros(60)
    x[30] = 10  # too near to be a slip
    sure = np.ones(60)
    doubted = sure.copy()
    doubted[30] = 0.05
    assert smooth(times_s, x, doubted)[30] < 0.2 * smooth(times_s, x, sure)[30]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_short_track_is_left_where_it_is(frames: int) -> None:
    times_s = np.arange(frames) / 30
    assert smooth(times_s, 100 + 30 * times_s) == pytest.approx(100 + 30 * times_s)
    unsure = np.zeros(frames)
    assert smooth(times_s, 100 + 30 * times_s, unsure) == pytest.approx(100 + 30 * times_s)
