"""Poses from keypoints: round trips, another library, chance repeated, and all that cannot be told."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import pytest

from engines.pose6d import truck
from engines.pose6d.camera import F, angle_deg, in_camera, intrinsics, normalised, project, rotation_of
from engines.pose6d.pose import Estimate, estimate
from engines.pose6d.refine import Pose, Seen, Shape, covariance, refined
from engines.pose6d.rotations import candidates

CAMERA = intrinsics(600.0, (480, 640))
TRUCK = Shape(truck.keypoints())
FLAT = Shape(np.array([[x, y, 0.0] for x in (-0.1, 0.0, 0.1) for y in (-0.07, 0.05)]) + [0.01, 0, 0])


class Case(NamedTuple):
    rotation: F
    translation: F
    pixels: F


def case(shape: Shape, seed: int, noise_px: float = 0.0, distance: tuple[float, float] = (0.5, 1.1)) -> Case:
    rng = np.random.default_rng(seed)
    rotation = rotation_of(rng.normal(0, 2, 3))
    translation = np.array([rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), rng.uniform(*distance)])
    pixels = project(CAMERA, in_camera(shape.points, rotation, translation))
    return Case(rotation, translation, pixels + rng.normal(0, 1, pixels.shape) * noise_px)


def found(shape: Shape, pixels: F, noise_px: float = 1.0, confidence: F | None = None) -> Estimate:
    sure = np.ones(len(pixels)) if confidence is None else confidence
    return estimate(shape, CAMERA, pixels, sure, noise_px)


def pose_of(estimated: Estimate) -> Pose:
    assert estimated.pose is not None, estimated.verdict
    return estimated.pose


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [6, 16])
def test_exact_keypoints_give_the_exact_pose(seed: int, count: int) -> None:
    shape = Shape(np.random.default_rng(seed).normal(0, 0.08, (count, 3)))
    true = case(shape, seed)
    estimated = found(shape, true.pixels, 0.1)
    assert estimated.verdict == "ok"
    assert estimated.inliers.all()
    assert angle_deg(pose_of(estimated).rotation, true.rotation) < 1e-4
    np.testing.assert_allclose(pose_of(estimated).translation, true.translation, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_four_points_give_the_pose_or_say_that_it_is_one_of_two(seed: int) -> None:
    shape = Shape(np.random.default_rng(seed).normal(0, 0.08, (4, 3)))
    true = case(shape, seed)
    estimated = found(shape, true.pixels, 0.1)
    poses = [pose for pose in (estimated.pose, estimated.other) if pose]
    assert (len(poses) == 2) == (estimated.verdict == "ambiguous")
    assert min(angle_deg(pose.rotation, true.rotation) for pose in poses) < 1e-3


@pytest.mark.parametrize("seed", range(10))
def test_some_start_comes_to_the_true_pose(seed: int) -> None:
    true = case(TRUCK, seed)
    poses = candidates(TRUCK.points, normalised(CAMERA, true.pixels), np.ones((1, 16)))
    off = [angle_deg(rotation, true.rotation) for rotation in poses.rotations]
    assert min(off) < 1e-3
    np.testing.assert_allclose(poses.translations[int(np.argmin(off))], true.translation, atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_each_weighting_is_solved_for_itself(seed: int) -> None:
    """All at once or one by one, and points of weight 0 may be seen anywhere."""
    rng, true = np.random.default_rng(seed), case(TRUCK, seed)
    weights = np.ones((2, 16))
    weights[1, rng.permutation(16)[:6]] = 0
    rays = normalised(CAMERA, true.pixels)
    together = candidates(TRUCK.points, rays, weights)
    rays[weights[1] == 0] += 10
    alone = candidates(TRUCK.points, rays, weights[1:])
    np.testing.assert_allclose(together.rotations[24:], alone.rotations, atol=1e-6)


def test_turning_the_object_s_own_axes_turns_the_pose_back() -> None:
    own, true = rotation_of(np.array([1.0, -0.5, 0.3])), case(TRUCK, 1, 1.0)
    plain = pose_of(found(TRUCK, true.pixels))
    other = pose_of(found(Shape(TRUCK.points @ own.T), true.pixels))
    assert angle_deg(other.rotation @ own, plain.rotation) < 0.01
    np.testing.assert_allclose(other.translation, plain.translation, atol=1e-5)


def test_a_larger_object_is_as_much_farther_away() -> None:
    true = case(TRUCK, 2, 1.0)
    plain, large = pose_of(found(TRUCK, true.pixels)), pose_of(found(Shape(1000 * TRUCK.points), true.pixels))
    np.testing.assert_allclose(large.translation, 1000 * plain.translation, rtol=1e-4)


def test_under_noise_it_is_as_good_as_opencv() -> None:
    ours, theirs = [], []
    for seed in range(60):
        true = case(TRUCK, seed, 1.5)
        ours.append(angle_deg(pose_of(found(TRUCK, true.pixels, 1.5)).rotation, true.rotation))
        first = cv2.solvePnP(TRUCK.points, true.pixels, CAMERA, None, flags=cv2.SOLVEPNP_EPNP)
        turn = cv2.solvePnP(TRUCK.points, true.pixels, CAMERA, None, first[1], first[2], True)[1]
        theirs.append(angle_deg(rotation_of(turn[:, 0]), true.rotation))
    assert np.median(ours) < 1.12 * np.median(theirs)
    assert max(ours) < 1.3 * max(theirs)


def test_a_third_of_wrong_keypoints_changes_little() -> None:
    turns, shifts = [], []
    for seed in range(40):
        rng, true = np.random.default_rng(seed), case(TRUCK, seed, 2.0)
        wrong = rng.permutation(16)[:5]
        true.pixels[wrong] = rng.uniform(true.pixels.min(0), true.pixels.max(0), (5, 2))
        estimated = found(TRUCK, true.pixels, 2.0)
        turns.append(angle_deg(pose_of(estimated).rotation, true.rotation))
        shifts.append(np.linalg.norm(pose_of(estimated).translation - true.translation) / true.translation[2])
    assert np.median(turns) < 1.5
    assert max(turns) < 6
    assert np.median(shifts) < 0.01


def test_outliers_are_named() -> None:
    true = case(TRUCK, 3, 1.0)
    true.pixels[[2, 7]] += [80, -60]
    assert np.flatnonzero(~found(TRUCK, true.pixels).inliers).tolist() == [2, 7]


def test_sure_keypoints_count_more() -> None:
    """Half of them are eight times as noisy, and say so."""
    told, untold = [], []
    for seed in range(40):
        rng, true = np.random.default_rng(seed), case(TRUCK, seed, 0.5)
        sure = np.where(np.arange(16) % 2, 1.0, 1 / 64)
        true.pixels[:] += rng.normal(0, 4, (16, 2)) * (sure < 1)[:, None]
        told.append(angle_deg(pose_of(found(TRUCK, true.pixels, 0.5, sure)).rotation, true.rotation))
        untold.append(angle_deg(pose_of(found(TRUCK, true.pixels, 4.0)).rotation, true.rotation))
    assert np.median(told) < 0.5 * np.median(untold)


def test_keypoints_without_confidence_may_be_anywhere_or_nowhere() -> None:
    true, sure = case(TRUCK, 4, 1.0), np.ones(16)
    sure[[0, 5]] = 0
    clean = pose_of(found(TRUCK, true.pixels, confidence=sure))
    true.pixels[0], true.pixels[5] = np.nan, 1e9
    np.testing.assert_array_equal(pose_of(found(TRUCK, true.pixels, confidence=sure)).rotation, clean.rotation)


def test_the_covariance_is_what_chance_repeated_shows() -> None:
    true, pose = case(TRUCK, 5), Pose(case(TRUCK, 5).rotation, case(TRUCK, 5).translation)
    rng, off, told = np.random.default_rng(0), [], []
    for _ in range(400):
        seen = Seen(CAMERA, true.pixels + rng.normal(0, 1.0, (16, 2)), np.ones(16))
        fitted = refined(pose, TRUCK, seen)
        turn = fitted.rotation @ true.rotation.T  # of a small turn the antisymmetric part is its vector
        vector = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
        off.append(np.concatenate((vector, fitted.translation - true.translation)))
        told.append(fitted.covariance)
    seen_to_be = np.cov(np.array(off).T)
    ratio = np.diag(seen_to_be) / np.diag(np.mean(told, 0))
    assert ((ratio > 0.8) & (ratio < 1.3)).all(), ratio
    squares = np.einsum("ni,ij,nj->n", off, np.linalg.inv(np.mean(told, 0)), off)
    assert squares.mean() == pytest.approx(6, rel=0.15)


def test_noise_told_ten_times_too_small_gives_the_same_covariance() -> None:
    true = case(TRUCK, 5, 1.0)
    pose = refined(Pose(true.rotation, true.translation), TRUCK, Seen(CAMERA, true.pixels, np.ones(16)))
    honest, boasting = (covariance(pose, TRUCK, Seen(CAMERA, true.pixels, np.full(16, noise))) for noise in (1, 0.1))
    np.testing.assert_allclose(honest, boasting)


def test_the_shape_of_a_member_of_the_family_is_found_with_its_pose() -> None:
    """The crane of the truck may be longer, and its cab higher."""
    modes = np.zeros((2, 16, 3))
    modes[0, list(truck.KEYPOINTS).index("crane")] = (-0.02, 0, 0.03)
    modes[1, :4] = (0, 0, 0.015)
    family, coefficients = Shape(truck.keypoints(), modes), np.array([1.2, -0.8])
    true = case(Shape(family(coefficients)), 6, 0.3)
    pose = pose_of(found(family, true.pixels, 1.0))
    np.testing.assert_allclose(pose.coefficients, coefficients, atol=0.3)
    assert angle_deg(pose.rotation, true.rotation) < 0.5
    rigid = found(TRUCK, true.pixels, 1.0)
    assert rigid.pose is None or not rigid.inliers.all()
    assert pose.covariance.shape == (8, 8)


def test_a_coefficient_that_is_not_seen_stays_at_the_family_s_mean() -> None:
    modes = np.zeros((1, 16, 3))
    modes[0, 11] = (0, 0, 0.05)
    sure = np.ones(16)
    sure[11] = 0
    pose = pose_of(found(Shape(truck.keypoints(), modes), case(TRUCK, 7).pixels, 1.0, sure))
    assert pose.coefficients[0] == pytest.approx(0, abs=1e-6)
    assert pose.covariance[6, 6] > 0


def test_three_points_are_too_few() -> None:
    sure = np.zeros(16)
    sure[:3] = 1
    estimated = found(TRUCK, case(TRUCK, 0).pixels, confidence=sure)
    assert (estimated.verdict, estimated.pose) == ("few", None)


def test_points_on_a_line_do_not_say_how_the_object_is_turned_about_it() -> None:
    line = Shape(np.linspace(0, 1, 8)[:, None] * [0.2, 0.1, 0.05])
    estimated = found(line, case(line, 0).pixels)
    assert (estimated.verdict, estimated.pose) == ("collinear", None)


@pytest.mark.parametrize("seed", range(10))
def test_points_in_a_plane_near_by_give_the_pose(seed: int) -> None:
    true = case(FLAT, seed, distance=(0.25, 0.3))
    estimated = found(FLAT, true.pixels, 0.2)
    assert estimated.planar
    poses = [pose.rotation for pose in (estimated.pose, estimated.other) if pose]
    assert min(angle_deg(rotation, true.rotation) for rotation in poses) < 0.01


def test_a_plane_seen_from_afar_is_ambiguous_and_both_poses_are_given() -> None:
    rotation, translation = rotation_of(np.array([0.5, 0.3, 0])), np.array([0.0, 0, 5])
    pixels = project(CAMERA, in_camera(FLAT.points, rotation, translation))
    estimated = found(FLAT, pixels, 1.0)
    assert estimated.verdict == "ambiguous"
    assert estimated.other is not None
    off = sorted(angle_deg(pose.rotation, rotation) for pose in (pose_of(estimated), estimated.other))
    assert off[0] < 0.1
    assert off[1] > 15


@pytest.mark.parametrize("seed", range(8))
def test_a_mirrored_picture_is_said_to_be_mirrored(seed: int) -> None:
    true = case(TRUCK, seed, 1.0, distance=(0.4, 0.5))
    true.pixels[:, 0] = 640 - true.pixels[:, 0]
    estimated = found(TRUCK, true.pixels)
    assert (estimated.verdict, estimated.pose) == ("mirrored", None)


@pytest.mark.parametrize("seed", range(8))
def test_keypoints_at_random_fit_no_pose(seed: int) -> None:
    pixels = np.random.default_rng(seed).uniform(100, 300, (16, 2))
    estimated = found(TRUCK, pixels)
    assert estimated.verdict in ("unfit", "collinear")
    assert estimated.pose is None


def test_the_same_keypoints_give_the_same_pose() -> None:
    pixels = case(TRUCK, 8, 3.0).pixels
    one, other = (pose_of(found(TRUCK, pixels, 3.0)) for _ in range(2))
    np.testing.assert_array_equal(one.rotation, other.rotation)


def test_shapes_that_disagree_are_told() -> None:
    with pytest.raises(ValueError, match=r"16 points, got pixels \(3, 2\), confidence \(16,\); expected \(16, 2\)"):
        estimate(TRUCK, CAMERA, np.zeros((3, 2)), np.ones(16))
    with pytest.raises(ValueError, match=r"confidence must lie in 0\.\.1, got 0\.0\.\.2\.0"):
        estimate(TRUCK, CAMERA, np.zeros((16, 2)), np.linspace(0, 2, 16))
    with pytest.raises(ValueError, match=r"got points \(16, 3\), modes \(1, 3, 3\); expected \(N, 3\), \(C, N, 3\)"):
        Shape(TRUCK.points, np.zeros((1, 3, 3)))
