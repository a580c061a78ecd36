"""Labels: every field moves with the others."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from made_people import K, people

from engines.ops import skeleton
from engines.train.target import Target, nobody

MIRROR = skeleton.COCO.mirror

ARRAYS = [field.name for field in fields(Target) if field.name not in ("size_hw", "collage")]


def assert_same(left: Target, right: Target, atol: float = 1e-3) -> None:
    assert left.size_hw == right.size_hw
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-4, atol=atol, err_msg=name)
        assert getattr(left, name).dtype == getattr(right, name).dtype, name


@pytest.mark.parametrize("name", ARRAYS)
def test_taking_people_takes_each_of_their_fields(name: str) -> None:
    target = people(0, 5)
    assert getattr(target.take(np.array([3, 0])), name).tolist() == getattr(target, name)[[3, 0]].tolist()


def test_joined_people_come_apart_again() -> None:
    first, second = people(1, 3), people(2, 2)
    both = first.joined([second])
    assert_same(both.take(np.arange(3)), first)
    assert_same(both.take(np.arange(3, 5)), second)


def test_a_mirror_twice_is_no_mirror() -> None:
    target = people(3)
    assert_same(target.mirrored(MIRROR).mirrored(MIRROR), target)


def test_a_mirror_gives_left_the_place_visibility_and_weight_of_right() -> None:
    target = people(4)
    seen = target.mirrored(MIRROR)
    left, right = 9, 10  # wrists
    np.testing.assert_allclose(seen.keypoints[:, left, 0], 200 - target.keypoints[:, right, 0], rtol=1e-5)
    assert seen.visibility[:, left].tolist() == target.visibility[:, right].tolist()
    assert seen.weights[:, left].tolist() == target.weights[:, right].tolist()


def test_scaling_and_back_changes_nothing() -> None:
    target = people(5)
    assert_same(target.scaled((77, 311)).scaled((120, 200)), target)


def test_areas_grow_with_the_square_of_the_picture() -> None:
    target = people(6)
    assert target.scaled((240, 400)).areas_px2 == pytest.approx(4 * target.areas_px2, rel=1e-5)


def test_a_quarter_turn_turns_a_box_exactly() -> None:
    target = people(7)
    turned = target.mapped(np.array([[0, -1, 120], [1, 0, 0]]), (200, 120))
    x1, y1, x2, y2 = target.boxes.T
    np.testing.assert_allclose(turned.boxes, np.stack((120 - y2, x1, 120 - y1, x2), 1), atol=1e-3)


def test_a_turned_box_holds_the_turned_ellipse_and_no_more() -> None:
    target = people(8, 1)
    angle = np.linspace(0, 2 * np.pi, 2000)
    x1, y1, x2, y2 = target.boxes[0]
    rim = np.stack(((x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angle), (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angle)), 1)
    matrix = np.array([[0.8, -0.6, 5], [0.3, 1.1, -7]])
    there = rim @ matrix[:, :2].T + matrix[:, 2]
    hull = [*there.min(0), *there.max(0)]
    assert target.mapped(matrix, (120, 200)).boxes[0] == pytest.approx(hull, abs=0.01)


def test_what_leaves_the_picture_is_cut_hidden_or_gone() -> None:
    target = people(9, 1)
    x1, _, x2, _ = target.boxes[0]
    half = target.shifted(-float(x1 + x2) / 2, 0, target.size_hw).clipped()
    assert half.boxes[0, [0, 2]] == pytest.approx([0, (x2 - x1) / 2], abs=1e-3)
    assert half.areas_px2[0] == pytest.approx(target.areas_px2[0] / 2, rel=1e-3)
    outside = half.keypoints[0, :, 0] < 0
    assert outside.any()
    assert not half.visibility[0, outside].any()
    assert not half.weights[0, outside].any()
    assert half.visibility[0, ~outside].tolist() == target.visibility[0, ~outside].tolist()
    assert len(target.shifted(-500, 0, target.size_hw).clipped()) == 0


def test_who_is_cut_to_a_sliver_becomes_crowd() -> None:
    target = people(1, 1)
    assert not target.crowd[0]
    width = target.boxes[0, 2] - target.boxes[0, 0]
    sliver = target.shifted(-float(target.boxes[0, 0] + 0.9 * width), 0, target.size_hw).clipped()
    assert sliver.crowd.tolist() == [True]


def test_nobody_goes_through_everything() -> None:
    empty = nobody((120, 200), K)
    moved = empty.mirrored(MIRROR).scaled((60, 100)).shifted(1, 2, (80, 80)).clipped()
    assert len(moved.joined([empty])) == 0
    assert moved.keypoints.shape == (0, K, 2)
