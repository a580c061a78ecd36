"""PCK, PCKh and error by kind: hand-made people whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from found_people import labelled, picture

from engines.evaluation.keypoints import Matched, matched, pck, pckh, rows
from engines.ops import skeleton
from engines.ops.people import People, joined
from engines.train.target import Target

K = 17


def person(height_px: float = 100.0) -> Target:
    """One person 40 px wide with all keypoints visible; the nose 20 px above the middle of the shoulders."""
    target = labelled(np.random.default_rng(0), 1)
    keypoints = target.keypoints * 0 + np.array([120, 100], np.float32)
    keypoints[0, 0] = 120, 60
    keypoints[0, 5], keypoints[0, 6] = (110, 80), (130, 80)
    return replace(
        target,
        boxes=np.array([[100, 50, 140, 50 + height_px]], np.float32),
        keypoints=keypoints,
        visibility=np.full_like(target.visibility, 2),
        areas_px2=np.array([2000], np.float32),
        crowd=np.zeros(1, bool),
    )


def seen(target: Target, off_px: float = 0.0) -> People:
    ones = np.ones((len(target), K), np.float32)
    moved = target.keypoints + np.array([off_px, 0], np.float32)
    return People(target.boxes, np.ones(len(target), np.float32), moved, 0.5 * ones, ones)


def one(off_px: float) -> Matched:
    return matched([(seen(person(), off_px), person())])


def test_pck_counts_what_is_within_a_share_of_the_longer_side() -> None:
    assert pck(one(19.9), 0.2).tolist() == [1] * K
    assert pck(one(20.1), 0.2).tolist() == [0] * K


def test_pckh_counts_what_is_within_a_share_of_the_head() -> None:
    assert pckh(one(9.9), 0, (5, 6)).tolist() == [1] * K
    assert pckh(one(10.1), 0, (5, 6)).tolist() == [0] * K


def test_without_a_shoulder_there_is_no_pckh() -> None:
    target = person()
    target.visibility[0, 5] = 0
    of = matched([(seen(target), target)])
    assert np.isnan(pckh(of, 0, (5, 6))).all()
    assert np.isnan(pck(of)).tolist() == [at == 5 for at in range(K)]


def test_a_keypoint_s_own_oks_falls_to_exp_half_at_twice_its_sigma() -> None:
    off_px = 2 * skeleton.COCO.sigmas[9] * np.sqrt(2000)
    assert one(off_px).nearness(skeleton.COCO.sigmas)[0, 9] == pytest.approx(np.exp(-0.5))


def test_a_person_is_found_once_by_the_better_box() -> None:
    both = joined(seen(person()), seen(person()))
    both = replace(both, scores=np.array([0.5, 0.9], np.float32))
    both.keypoints[1] += 3
    of = matched([(both, person())])
    assert of.xy.shape == (1, K, 2)
    assert of.distances_px()[0] == pytest.approx(np.sqrt(18))


def test_who_is_not_found_is_missed_in_the_row_of_that_height() -> None:
    nobody = seen(person()).take(np.zeros(0, np.intp))
    short, tall = person(80), person(180)
    of = matched([(nobody, short), (seen(tall), tall)])
    by_size = {row.kind: row for row in rows(of, skeleton.COCO.sigmas)}
    assert (by_size["60-100 px"].people, by_size["60-100 px"].missed) == (1, 1)
    assert (by_size["160-224 px"].people, by_size["160-224 px"].missed) == (1, 0)
    assert by_size["160-224 px"].oks == 1
    assert np.isnan(by_size["60-100 px"].oks)


def test_hidden_and_visible_keypoints_have_rows_of_their_own() -> None:
    target = person()
    target.visibility[0, :7] = 1
    people = seen(target)
    people.keypoints[0, :7] += 500
    by_kind = {row.kind: row for row in rows(matched([(people, target)]), skeleton.COCO.sigmas)}
    assert (by_kind["hidden"].keypoints, by_kind["hidden"].right) == (7, 0)
    assert (by_kind["visible"].keypoints, by_kind["visible"].right) == (K - 7, 1)


def test_the_rows_by_size_hold_everybody_with_keypoints() -> None:
    pictures = [picture(seed) for seed in range(20)]
    by_size = [row for row in rows(matched(pictures), skeleton.COCO.sigmas) if "px" in row.kind]
    assert sum(row.people for row in by_size) == sum(int((t.labelled[~t.crowd] > 0).sum()) for _, t in pictures)


def test_no_picture_says_so() -> None:
    with pytest.raises(ValueError, match="no picture was given; expected at least one"):
        matched([])
