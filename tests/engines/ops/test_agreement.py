from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engines.ops.agreement import agreement
from engines.ops.people import People, joined, nobody
from engines.ops.skeleton import COCO


def crowd(count: int, seed: int = 0) -> People:
    rng = np.random.default_rng(seed)
    corners = np.arange(count)[:, None] * np.array([[150.0, 10.0]])
    boxes = np.concatenate((corners, corners + [100, 200]), 1)
    points = corners[:, None] + rng.uniform(0, 1, (count, 17, 2)) * [100, 200]
    sure = rng.uniform(0, 1, (count, 17))
    scores = np.linspace(0.9, 0.6, count)
    return People(*(x.astype(np.float32) for x in (boxes, scores, points, sure, 10 * sure)))


def test_people_agree_with_themselves_in_any_order() -> None:
    people = crowd(4)
    np.testing.assert_allclose(agreement(people, people.take(np.array([2, 0, 3, 1]))), 1.0)


def test_whoever_is_not_found_is_told() -> None:
    people = crowd(3)
    assert np.isnan(agreement(people, people.take(np.array([0, 2])))).tolist() == [False, True, False]
    assert np.isnan(agreement(people, nobody())).all()
    assert len(agreement(nobody(), people)) == 0


def test_one_found_stands_for_one_reference_only() -> None:
    one = crowd(1)
    twice = joined(one, one)
    assert np.isnan(agreement(twice, one)).tolist() == [False, True]


def test_a_shift_costs_what_oks_says() -> None:
    one = crowd(1)
    moved = replace(one, keypoints=one.keypoints + np.float32(3.0))
    expected = np.exp(-18.0 / (2 * (2 * COCO.sigmas) ** 2 * 100 * 200)).mean()
    assert agreement(one, moved)[0] == pytest.approx(expected, rel=1e-4)


def test_keypoints_that_the_reference_only_guessed_can_be_left_out() -> None:
    one = crowd(1)
    moved = replace(one, keypoints=one.keypoints + 1000 * (one.confidence < 0.3)[..., None].astype(np.float32))
    assert agreement(one, moved)[0] < 0.95
    assert agreement(one, moved, kpt_thr=0.3)[0] == pytest.approx(1.0)
    assert np.isnan(agreement(one, moved, kpt_thr=1.1)[0])
