from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from configs.schema import TrackSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO
from stream.tracking.associate import associate, pair, similarity

SETTINGS = TrackSettings(score_high=0.5, score_low=0.2, match_min=0.3)


def person(x_px: float, spread_px: float, sure: float) -> People:
    """Make one person in a box 40 px wide; `spread_px` moves the keypoints within it."""
    xy = np.stack([x_px + 20 + np.linspace(-spread_px, spread_px, 17), np.linspace(5, 115, 17)], 1)
    box = [[x_px, 0, x_px + 40, 120]]
    full = np.full((1, 17), sure)
    return People(*(np.array(a, np.float32) for a in (box, [0.9], xy[None], full, full)))


def best_sum(alike: np.ndarray, least: float) -> float:
    """Try all ways to pair, leaving out what is not alike enough."""
    square = np.zeros((max(alike.shape),) * 2)
    square[: alike.shape[0], : alike.shape[1]] = np.where(alike >= least, alike, 0)
    return max(square[range(len(square)), order].sum() for order in permutations(range(len(square))))


@pytest.mark.parametrize("seed", range(12))
def test_no_other_pairing_has_a_greater_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alike = rng.random(rng.integers(1, 6, 2))
    rows, columns = pair(alike, 0.3)
    assert alike[rows, columns].sum() == pytest.approx(best_sum(alike, 0.3))
    assert (alike[rows, columns] >= 0.3).all()
    assert len(set(rows)) == len(rows) == len(set(columns))


def test_the_best_pair_gives_way_where_both_would_lose() -> None:
    rows, columns = pair(np.array([[0.9, 0.8], [0.8, 0.0]]), 0.3)
    assert list(zip(rows, columns, strict=True)) == [(0, 1), (1, 0)]


def test_pairs_that_are_not_allowed_do_not_crowd_out_one_that_is() -> None:
    rows, columns = pair(np.array([[0.35, 0.29], [0.29, 0.0]]), 0.3)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_a_pose_goes_to_one_person_only() -> None:
    rows, columns = associate(np.array([[0.9], [0.8]]), np.array([0.9]), np.ones(2, bool), SETTINGS)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_nobody_pairs_with_nobody(shape: tuple[int, int]) -> None:
    rows, columns = associate(np.zeros(shape), np.full(shape[1], 0.9), np.ones(shape[0], bool), SETTINGS)
    assert rows.tolist() == columns.tolist() == []


def test_a_low_scored_pose_takes_nobody_from_a_high_scored_one() -> None:
    rows, columns = associate(np.array([[0.4, 0.9]]), np.array([0.8, 0.3]), np.ones(1, bool), SETTINGS)
    assert (rows.tolist(), columns.tolist()) == ([0], [0])


def test_a_low_scored_pose_continues_a_known_person_left_over() -> None:
    alike, scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.1, 0.8]]), np.array([0.8, 0.3])
    rows, columns = associate(alike, scores, np.array([True, False, True]), SETTINGS)
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (2, 1)]


@pytest.mark.parametrize(("score", "pairs"), [(0.5, 1), (0.2, 1), (0.19, 0)])
def test_scores_at_the_bounds_count_and_those_below_do_not(score: float, pairs: int) -> None:
    rows, _ = associate(np.array([[0.9]]), np.array([score]), np.ones(1, bool), SETTINGS)
    assert len(rows) == pairs


def test_the_same_person_in_the_same_place_is_wholly_alike() -> None:
    assert similarity(person(0, 15, 0.8), person(0, 15, 0.8), COCO) == pytest.approx(1)


def test_keypoints_tell_people_apart_whose_boxes_are_the_same() -> None:
    one, other = person(0, 19, 0.8), person(0, -19, 0.8)
    assert similarity(one, one, COCO) > similarity(one, other, COCO) + 0.2


def test_boxes_hold_where_no_keypoint_is_sure() -> None:
    expected, found = person(0, 15, 0.0), person(4, -15, 0.0)
    assert similarity(expected, found, COCO) > SETTINGS.match_min


def test_somebody_whose_left_and_right_were_taken_for_each_other_is_still_the_same() -> None:
    one = person(0, 15, 0.8)
    swapped = replace(one, keypoints=one.keypoints[:, list(COCO.mirror)])
    assert similarity(one, swapped, COCO) == pytest.approx(similarity(one, one, COCO))
