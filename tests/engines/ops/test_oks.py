from __future__ import annotations

import numpy as np
import pytest

from engines.ops.oks import oks, oks_nms, sure_oks
from engines.ops.people import People, nobody
from engines.ops.skeleton import COCO

AREA = np.array([10_000.0])  # a person of 100 px by 100 px
HERE = np.random.default_rng(0).uniform(0, 100, (1, 17, 2))


def people(xy: np.ndarray, scores: np.ndarray, side_px: float = 100, sure: np.ndarray | float = 1.0) -> People:
    """Make people whose boxes, of one size, start at their first keypoint."""
    n = len(xy)
    boxes = np.concatenate([xy[:, 0], xy[:, 0] + side_px], 1)
    confidence = np.broadcast_to(sure, (n, 17))
    return People(*(np.array(a, np.float32) for a in (boxes, scores, xy, confidence, confidence)))


def slow_oks(a: People, b: People, i: int, j: int) -> float:
    """OKS as it is defined, one keypoint at a time."""
    box, total, weight = a.boxes[i].astype(float), 0.0, 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    for k in range(17):
        sure = float(a.confidence[i, k]) * float(b.confidence[j, k])
        d2 = float(((a.keypoints[i, k].astype(float) - b.keypoints[j, k]) ** 2).sum())
        total += sure * np.exp(-d2 / (2 * area * (2 * COCO.sigmas[k]) ** 2))
        weight += sure
    return total / weight


def slow_nms(crowd: People, oks_max: float) -> list[int]:
    left = sorted(range(len(crowd)), key=lambda i: (-crowd.scores[i], i))
    kept: list[int] = []
    while left:
        best, *left = left
        kept.append(best)
        left = [other for other in left if slow_oks(crowd, crowd, best, other) <= oks_max]
    return kept


def test_a_keypoint_off_by_two_sigma_counts_as_the_definition_says() -> None:
    found = oks(HERE, HERE + [2 * 0.05 * 100, 0], AREA, np.full(17, 0.05))
    assert found == pytest.approx(np.exp([[-0.5]]))


def test_oks_does_not_change_with_the_scale_of_the_picture() -> None:
    near = HERE + [3.0, 4.0]
    small, large = oks(HERE, near, AREA, COCO.sigmas), oks(HERE * 4, near * 4, AREA * 16, COCO.sigmas)
    assert 0.1 < small < 0.9
    assert large == pytest.approx(small)


def test_a_keypoint_that_does_not_count_may_lie_anywhere() -> None:
    astray, visible = HERE.copy(), np.ones((1, 17))
    astray[0, 9], visible[0, 9] = 9999, 0
    assert oks(HERE, astray, AREA, COCO.sigmas, visible) == pytest.approx(1)
    assert oks(HERE, astray, AREA, COCO.sigmas) == pytest.approx(16 / 17)


def test_oks_is_zero_where_nothing_counts() -> None:
    assert oks(HERE, HERE, AREA, COCO.sigmas, np.zeros((1, 17))).tolist() == [[0.0]]


def test_each_reference_has_its_own_area() -> None:
    refs, areas = np.concatenate([HERE, HERE]), np.array([100.0, 1e6])
    small, large = oks(refs, HERE + 5, areas, COCO.sigmas)[:, 0]
    assert small < 0.1
    assert large > 0.9


def test_poses_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got ref_xy \(1, 17, 2\), xy \(1, 16, 2\), sigmas \(17,\); expected"):
        oks(HERE, HERE[:, :16], AREA, COCO.sigmas)


def test_an_area_of_nothing_says_what_was_given() -> None:
    with pytest.raises(ValueError, match=r"area_px2 must be above 0, got 0\.0 among 1 reference poses"):
        oks(HERE, HERE, np.array([0.0]), COCO.sigmas)


@pytest.mark.parametrize("seed", range(10))
def test_sure_oks_agrees_with_the_slow_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = people(HERE + rng.normal(0, 8, (3, 17, 2)), np.ones(3), 120, rng.random((3, 17)))
    b = people(HERE + rng.normal(0, 8, (4, 17, 2)), np.ones(4), 80, rng.random((4, 17)))
    slow = [[slow_oks(a, b, i, j) for j in range(4)] for i in range(3)]
    assert sure_oks(a, b, COCO.sigmas) == pytest.approx(np.array(slow), abs=1e-5)


@pytest.mark.parametrize("seed", range(16))
def test_nms_agrees_with_the_slow_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 14))
    copies = rng.uniform(0, 60, (3, 17, 2))[rng.integers(0, 3, n)]
    scores = rng.integers(1, 6, n) / 5  # with ties
    crowd = people(copies + rng.normal(0, 4, (n, 17, 2)), scores, 100, rng.uniform(0.1, 1, (n, 17)))
    assert oks_nms(crowd, COCO.sigmas, 0.5).tolist() == slow_nms(crowd, 0.5)


def test_a_dropped_pose_drops_nobody_else() -> None:
    steps = HERE + np.array([0.0, 7.0, 14.0])[:, None, None]  # each like the next, the ends unlike
    crowd = people(steps, np.array([0.9, 0.8, 0.7]))
    alike = sure_oks(crowd, crowd, COCO.sigmas)
    between = (alike[0, 1] + alike[0, 2]) / 2
    assert alike[1, 2] > between
    assert oks_nms(crowd, COCO.sigmas, float(between)).tolist() == [0, 2]


def test_of_equal_scores_the_lower_index_stays() -> None:
    assert oks_nms(people(np.repeat(HERE, 3, 0), np.full(3, 0.5)), COCO.sigmas, 0.65).tolist() == [0]


def test_legs_guessed_in_a_box_that_ends_at_the_hips_do_not_save_it() -> None:
    upper, sure = HERE.copy(), np.ones((2, 17))
    upper[0, 11:] += [60, -80]  # hips, knees and ankles squeezed into the box
    sure[1, 11:] = 0.05
    both, scores = np.concatenate([HERE, upper]), np.array([0.9, 0.8])
    assert oks_nms(people(both, scores, sure=1.0), COCO.sigmas, 0.65).tolist() == [0, 1]
    assert oks_nms(people(both, scores, sure=sure), COCO.sigmas, 0.65).tolist() == [0]


def test_two_people_of_whom_nothing_is_sure_are_not_taken_for_one() -> None:
    assert oks_nms(people(np.repeat(HERE, 2, 0), np.array([0.9, 0.8]), sure=0.0), COCO.sigmas, 0.65).tolist() == [0, 1]


def test_nms_of_nobody_keeps_nobody() -> None:
    assert oks_nms(nobody(), COCO.sigmas, 0.65).tolist() == []
