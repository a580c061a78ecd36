"""Drawn people: labels that agree with the pixels, and identities over time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engines.ops.skeleton import COCO
from engines.train.body import Pose
from engines.train.figure import Place, any_looks, painted, seen
from engines.train.paint import NOBODY, Canvas, Capsule, blank, capsules
from engines.train.scene import Walk, moment
from engines.train.synthetic import Scene, Still, picture

AT = {name: index for index, name in enumerate(COCO.names)}
SIZE = (240, 200)
GREY = np.full((*SIZE, 3), 100, np.uint8)


def person(canvas: Canvas, yaw: float = 0.0, owner: int = 1, x: float = 100, near: float = 0.0) -> np.ndarray:
    looks = any_looks(np.random.default_rng(1))
    return painted(canvas, owner, looks, Pose(yaw=yaw), Place((x, 225.0), 200.0, near))


def visibility(yaw: float) -> dict[str, int]:
    canvas = blank(GREY)
    return dict(zip(COCO.names, seen(canvas, person(canvas, yaw), 200.0).tolist(), strict=True))


def test_who_faces_us_hides_nothing() -> None:
    assert set(visibility(0.0).values()) == {2}


def test_who_turns_away_hides_the_face_and_shows_the_rest() -> None:
    of = visibility(np.pi)
    assert [of[name] for name in ("nose", "left_eye", "right_eye")] == [1, 1, 1]
    assert [of[f"{side}_{name}"] for side in ("left", "right") for name in ("shoulder", "elbow", "knee")] == [2] * 6


def test_who_walks_to_our_right_hides_the_left_side() -> None:
    of = visibility(np.pi / 2)
    for name in ("shoulder", "hip", "ear", "eye"):
        assert (of[f"right_{name}"], of[f"left_{name}"]) == (2, 1)
    assert of["nose"] == 2


def test_who_stands_in_front_hides_who_is_behind_and_not_the_other_way() -> None:
    canvas = blank(GREY)
    behind, front = person(canvas, owner=1), person(canvas, owner=2, near=500)
    assert set(seen(canvas, behind, 200.0).tolist()) == {1}
    assert set(seen(canvas, front, 200.0).tolist()) == {2}
    assert not (canvas.owner == 1).sum() > 0.2 * (canvas.owner == 2).sum()


def test_the_order_of_painting_does_not_matter() -> None:
    first, second = blank(GREY), blank(GREY)
    person(first, owner=1), person(first, owner=2, x=120, near=500)
    person(second, owner=2, x=120, near=500), person(second, owner=1)
    assert (first.owner != second.owner).mean() < 1e-3


def test_keypoints_lie_on_the_body() -> None:
    canvas = blank(GREY)
    for x, y, _ in person(canvas)[5:]:  # nose, eyes and ears lie on its edge
        assert canvas.owner[int(y), int(x)] == 1
    assert (canvas.owner == NOBODY).mean() > 0.5


def test_a_bar_is_as_wide_and_as_near_as_it_should_be() -> None:
    canvas = blank(GREY)
    bar = Capsule(np.array([100.0, -50, 7]), np.array([100.0, 300, 7]), 20.0, 20.0)
    surface = capsules([bar], SIZE)
    assert surface is not None
    canvas.paint(surface, np.full((*surface.inside.shape, 3), 200.0), 3)
    assert (canvas.owner[120] == 3).sum() == 40
    assert canvas.z[120, 100] == pytest.approx(27, abs=0.1)
    assert capsules([Capsule(bar.start + [500, 0, 0], bar.end + [500, 0, 0], 20.0, 20.0)], SIZE) is None


@pytest.mark.parametrize("seed", range(12))
def test_labels_of_a_picture_agree_with_it(seed: int) -> None:
    sample = picture(Still(size_hw=(160, 256), height_px=(40, 150)), np.random.default_rng(seed))
    target = sample.target
    assert sample.pixels.shape == (160, 256, 3)
    assert sample.pixels.std() > 10
    for box, xy, v in zip(target.boxes, target.keypoints, target.visibility, strict=True):
        shown = xy[v == 2]
        assert ((shown >= box[:2] - 5) & (shown <= box[2:] + 5)).all()
        inside = ((xy >= 0) & (xy < (256, 160))).all(1)
        assert ((v > 0) == inside).all()
    sides = target.boxes[:, 2:] - target.boxes[:, :2]
    assert (target.areas_px2 <= sides.prod(1)).all()
    assert (target.boxes >= 0).all()
    assert (target.boxes[:, 2:] <= (256, 160)).all()


def test_the_seed_is_all_chance() -> None:
    first, again, other = (picture(Still(), np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def scene() -> Scene:
    return Scene(3, (120, 200), people=3, duration_s=6.0)


def places(of: Scene, step_s: float = 0.1) -> dict[int, dict[float, np.ndarray]]:
    """The middle of the hips of each person by their number and the time, while they are in the picture."""
    found: dict[int, dict[float, np.ndarray]] = {}
    for time_s in np.arange(0, 6, step_s).tolist():
        target = of.frame(time_s).target
        for number, xy in zip(target.ids.tolist(), target.keypoints, strict=True):
            found.setdefault(number, {})[time_s] = xy[[AT["left_hip"], AT["right_hip"]]].mean(0)
    return found


def test_people_cross_and_the_third_leaves_and_comes_back_with_the_same_number() -> None:
    found = places(scene())
    assert set(found) == {1, 2, 3}
    assert found[1][max(found[1])][0] > found[1][min(found[1])][0] + 50
    assert found[2][max(found[2])][0] < found[2][min(found[2])][0] - 50
    times = np.array(sorted(found[3]))
    assert np.diff(times).max() > 0.5  # away for a while, and here before and after


def test_nobody_jumps() -> None:
    for of in places(scene()).values():
        steps = [np.linalg.norm(of[b] - of[a]) for a, b in itertools.pairwise(of) if b - a < 0.15]
        assert max(steps) < 12


def test_who_comes_to_a_corner_turns_there_over_half_a_second_and_faces_where_they_go() -> None:
    walk = Walk(1, np.array([[0.2, 0.9], [0.5, 0.9], [0.2, 0.9]]), start_s=1.0, pace=0.4, phase=0.0)
    moments = [moment(walk, time_s, (120, 200), 0.3) for time_s in np.arange(0, 6, 0.05).tolist()]
    xs, yaws = np.array([each.ground_xy[0] for each in moments]), np.array([each.pose.yaw for each in moments])
    right, left = np.diff(xs) > 0, np.diff(xs) < 0
    facing = np.sin(yaws[1:])  # 1 faces the right edge
    assert (xs[0], xs.max()) == (pytest.approx(40), pytest.approx(100, abs=1))
    assert facing[right][:-6] == pytest.approx(1)
    assert facing[left][6:] == pytest.approx(-1)
    assert np.abs(np.diff(yaws)).max() == pytest.approx(np.pi / 10, rel=0.1)  # half a turn in ten frames


def test_who_has_arrived_stands() -> None:
    walk = Walk(1, np.array([[0.2, 0.9], [0.5, 0.9]]), start_s=0.0, pace=1.0, phase=0.3)
    late, later = (moment(walk, time_s, (120, 200), 0.3) for time_s in (50.0, 60.0))
    assert late.ground_xy == later.ground_xy == pytest.approx((100, 108))
    assert np.abs(late.pose.hips[:, 0]).max() == 0


def test_a_frame_is_the_same_whenever_it_is_asked_for() -> None:
    of = scene()
    first = of.frame(2.0)
    of.frame(4.0)
    assert np.array_equal(of.frame(2.0).pixels, first.pixels)
    assert np.array_equal(scene().frame(2.0).pixels, first.pixels)
