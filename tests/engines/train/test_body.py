"""The drawn body: bones keep their length, feet stand on the ground, left is left."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engines.ops.skeleton import COCO
from engines.train import body
from engines.train.body import Build, Pose, any_build, any_pose, joints, walking

AT = {name: index for index, name in enumerate(COCO.names)}
BONES = {
    ("shoulder", "elbow"): body.UPPER_ARM,
    ("elbow", "wrist"): body.FOREARM,
    ("hip", "knee"): body.THIGH,
    ("knee", "ankle"): body.SHANK,
}


@pytest.mark.parametrize("seed", range(20))
def test_bones_keep_their_length_whatever_the_pose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = joints(any_pose(rng), Build(), rng.uniform(0, 0.5)).keypoints()
    for side, ((start, end), length) in itertools.product(("left", "right"), BONES.items()):
        bone = places[AT[f"{side}_{start}"]] - places[AT[f"{side}_{end}"]]
        assert np.linalg.norm(bone) == pytest.approx(length)


@pytest.mark.parametrize("seed", range(10))
def test_the_lower_foot_stands_on_the_ground(seed: int) -> None:
    rng = np.random.default_rng(seed)
    of = joints(any_pose(rng), any_build(rng))
    assert -of.ankles[:, 1].max() == pytest.approx(body.ANKLE_HEIGHT)


def test_somebody_who_stands_is_as_high_as_said() -> None:
    of = joints(Pose(), Build())
    crown = -of.head[1] + body.HEAD
    assert crown == pytest.approx(1.0, abs=0.03)


def test_who_faces_us_has_their_left_on_our_right() -> None:
    places = joints(Pose(), Build()).keypoints()
    for name in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert places[AT[f"left_{name}"], 0] > 0 > places[AT[f"right_{name}"], 0]
    assert places[AT["nose"], 2] > places[AT["left_ear"], 2]


def test_who_walks_to_our_right_has_the_nose_and_toes_there() -> None:
    of = joints(walking(0.0, np.pi / 2), Build())
    places = of.keypoints()
    assert places[AT["nose"], 0] > places[AT["left_ear"], 0]
    assert (of.toes[:, 0] > of.ankles[:, 0]).all()
    assert places[AT["right_shoulder"], 2] > places[AT["left_shoulder"], 2]  # the right side is nearer


def test_arms_reach_forward_and_knees_bend_back() -> None:
    raised = Pose(yaw=np.pi / 2, shoulders=np.array([[np.pi / 2, 0]] * 2), knees=np.array([1.0, 1.0]))
    places = joints(raised, Build()).keypoints()
    assert places[AT["left_wrist"], 0] - places[AT["left_shoulder"], 0] == pytest.approx(0.332, abs=0.01)
    assert places[AT["left_ankle"], 0] < places[AT["left_knee"], 0] - 0.1


@pytest.mark.parametrize("seed", range(10))
def test_the_mirrored_pose_has_the_mirrored_places(seed: int) -> None:
    pose = any_pose(np.random.default_rng(seed))
    other = Pose(
        yaw=-pose.yaw,
        lean=pose.lean,
        bend=-pose.bend,
        hips=pose.hips[::-1],
        knees=pose.knees[::-1],
        shoulders=pose.shoulders[::-1],
        elbows=pose.elbows[::-1],
        head=(-pose.head[0], pose.head[1]),
    )
    places, mirrored = (joints(each, Build()).keypoints() for each in (pose, other))
    np.testing.assert_allclose(mirrored[list(COCO.mirror)], places * (-1, 1, 1), atol=1e-9)


def test_a_walk_repeats_after_two_steps_and_swaps_sides_after_one() -> None:
    first, half, whole = (joints(walking(0.7 + turn, 0.3), Build()) for turn in (0, np.pi, 2 * np.pi))
    np.testing.assert_allclose(first.ankles, whole.ankles, atol=1e-9)
    np.testing.assert_allclose(walking(0.7 + np.pi, 0.3).knees, walking(0.7, 0.3).knees[::-1], atol=1e-9)
    assert (first.ankles[0] - first.ankles[1])[2] * (half.ankles[0] - half.ankles[1])[2] < 0
