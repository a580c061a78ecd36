from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.tracking.kalman import BoxKalman

BOX = np.array([100.0, 50.0, 140.0, 170.0])
RIGHT = np.array([1.0, 0, 1, 0])


def walked(px_s: float, dt_s: float, steps: int, scale: float = 1.0) -> BoxKalman:
    """Follow a box that moves right."""
    motion = BoxKalman(BOX * scale)
    for step in range(1, steps + 1):
        motion.predict(dt_s)
        motion.update((BOX + RIGHT * px_s * step * dt_s) * scale)
    return motion


@pytest.mark.parametrize("fps", [10, 25, 60])
def test_a_steady_walk_is_foretold_at_any_frame_rate(fps: int) -> None:
    motion = walked(80, 1 / fps, 3 * fps)
    assert motion.velocity_px_s == pytest.approx([80, 0], rel=0.02, abs=0.5)
    motion.predict(0.5)
    assert motion.box == pytest.approx(BOX + RIGHT * 80 * 3.5, abs=1.5)


def test_time_cut_in_two_changes_nothing() -> None:
    whole, halves = walked(80, 0.04, 20), walked(80, 0.04, 20)
    whole.predict(0.3)
    halves.predict(0.1)
    halves.predict(0.2)
    for motion in (whole, halves):
        motion.update(BOX + 130)
    assert halves.box == pytest.approx(whole.box)
    assert halves.velocity_px_s == pytest.approx(whole.velocity_px_s)


def test_near_and_far_people_are_treated_alike() -> None:
    far, near = walked(80, 0.04, 12), walked(80, 0.04, 12, scale=6)
    assert near.box == pytest.approx(far.box * 6)
    assert near.velocity_px_s == pytest.approx(far.velocity_px_s * 6)


def test_one_astray_box_does_not_carry_the_person_away() -> None:
    motion = walked(0, 0.04, 25)
    motion.predict(0.04)
    motion.update(BOX + RIGHT * 40)
    assert 1 < motion.box[0] - BOX[0] < 25


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 3), st.floats(0, 30)), min_size=1, max_size=30))
def test_sides_stay_among_those_measured(steps: list[tuple[int, float, float]]) -> None:
    motion, sides = BoxKalman(BOX), [BOX[2:] - BOX[:2]]
    for seed, dt_s, unseen_s in steps:
        corner, side = np.random.default_rng(seed).uniform(1, 900, (2, 2))
        motion.predict(dt_s)
        motion.update(np.concatenate([corner, corner + side]))
        motion.predict(unseen_s)
        sides.append(side)
        now = motion.box[2:] - motion.box[:2]
        assert (now >= np.min(sides, 0) - 1e-6).all()
        assert (now <= np.max(sides, 0) + 1e-6).all()


def test_a_box_without_an_area_is_followed_as_one_pixel() -> None:
    motion = BoxKalman(np.array([5.0, 5, 5, 5]))
    motion.predict(0.04)
    motion.update(np.array([5.0, 5, 5, 5]))
    assert motion.box == pytest.approx([4.5, 4.5, 5.5, 5.5])
