"""Points to pixels and rotations, against laws and another library."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engines.pose6d.camera import angle_deg, cropped, in_camera, intrinsics, normalised, project, rotation_of
from engines.pose6d.crop import SIDE_PX, back, everywhere, square, turned_square


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-4, 1.0, 3.0, np.pi])
def test_a_rotation_vector_turns_as_scipy_turns(length: float) -> None:
    vector = np.random.default_rng(0).normal(0, 1, 3)
    vector *= length / np.linalg.norm(vector)
    np.testing.assert_allclose(rotation_of(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 10.0, 90.0, 180.0])
def test_the_angle_between_rotations_is_how_far_one_was_turned(degrees: float) -> None:
    first = rotation_of(np.array([0.3, -2.0, 1.0]))
    second = rotation_of(np.radians(degrees) * np.array([0.6, 0.0, 0.8])) @ first
    assert angle_deg(first, second) == pytest.approx(degrees, abs=1e-7)


def test_what_lies_on_the_axis_is_seen_in_the_middle_of_the_picture() -> None:
    camera = intrinsics(500.0, (480, 640))
    np.testing.assert_allclose(project(camera, np.array([[0.0, 0, 2], [0.1, -0.2, 1]])), [[320, 240], [370, 140]])


def test_rays_through_pixels_meet_the_points() -> None:
    camera = np.array([[500.0, 3, 300], [0, 510, 250], [0, 0, 1]])
    points = np.array([[0.1, 0.2, 1.5], [-0.3, 0.1, 0.7]])
    np.testing.assert_allclose(normalised(camera, project(camera, points)), points[:, :2] / points[:, 2:])


def test_a_cropped_camera_sees_what_the_crop_of_the_picture_shows() -> None:
    rng = np.random.default_rng(1)
    camera, crop = intrinsics(600.0, (480, 640)), turned_square(np.array([300.0, 200.0]), 180.0, 0.4)
    points = in_camera(rng.normal(0, 0.1, (20, 3)), rotation_of(np.ones(3)), np.array([0.1, 0, 1]))
    seen = project(camera, points)
    np.testing.assert_allclose(project(cropped(camera, crop), points), seen @ crop[:, :2].T + crop[:, 2])
    np.testing.assert_allclose(back(crop, project(cropped(camera, crop), points)), seen)


def test_a_square_holds_its_places_with_the_margin_around_them() -> None:
    places = np.array([[100.0, 50.0], [300.0, 90.0]])
    crop = square(places, 1.25)
    shown = places @ crop[:, :2].T + crop[:, 2]
    assert shown[:, 0].tolist() == pytest.approx([SIDE_PX * 0.1, SIDE_PX * 0.9])
    assert shown[:, 1].mean() == pytest.approx(SIDE_PX / 2)


@pytest.mark.parametrize("size_hw", [(480, 640), (720, 1280), (300, 300), (640, 360)])
def test_an_object_of_a_quarter_of_the_picture_is_whole_in_some_square(size_hw: tuple[int, int]) -> None:
    """And fills a fair part of it, wherever it is."""
    rng = np.random.default_rng(2)
    crops = everywhere(size_hw)
    side = 0.25 * min(size_hw)
    for _ in range(100):
        low = rng.uniform(0, np.array(size_hw[::-1]) - side)
        shown = [np.array([low, low + side]) @ crop[:, :2].T + crop[:, 2] for crop in crops]
        whole = [each for each in shown if (each >= 0).all() and (each <= SIDE_PX).all()]
        assert max(float(np.ptp(each, axis=0).max()) for each in whole) > SIDE_PX * 0.4
