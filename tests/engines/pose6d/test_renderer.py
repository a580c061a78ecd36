"""The z-buffer, against rays cast one by one; solids; pictures whose labels must fit."""

from __future__ import annotations

import numpy as np
import pytest

from engines.pose6d import truck
from engines.pose6d.camera import F, in_camera, intrinsics, project, rotation_of
from engines.pose6d.mesh import Mesh, box, cylinder, diameter, joined
from engines.pose6d.raster import NOTHING, Buffer, Light
from engines.pose6d.views import Views, any_view, picture

LIGHT = Light(np.array([0.0, 0.0, -1.0]), 0.5, 0.5)
HW = (24, 32)
CAMERA = intrinsics(30.0, HW)


def volume(mesh: Mesh) -> float:
    """By the divergence theorem: negative where triangles go round the wrong way."""
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_box_has_its_volume_so_all_its_sides_face_outward() -> None:
    assert volume(box((-1, 0, 2), (1, 3, 6), (0, 0, 0))) == pytest.approx(2 * 3 * 4)


def test_a_cylinder_has_the_volume_of_a_prism_of_twelve_sides() -> None:
    made = cylinder((1, 2, 3), (1, 2, 5), 0.5, (0, 0, 0))
    assert volume(made) == pytest.approx(2 * 12 * 0.5 * 0.25 * np.sin(np.pi / 6))
    assert volume(cylinder((0, 0, 0), (1, 2, -1), 0.5, (0, 0, 0))) > 0


def cast(meshes: list[Mesh], camera: F, size_hw: tuple[int, int]) -> tuple[F, F]:
    """Depth and owner of each pixel by intersecting its ray with every triangle, one after another."""
    depth, owner = np.full(size_hw, np.inf), np.full(size_hw, NOTHING)
    corners = np.concatenate([mesh.vertices[mesh.triangles] for mesh in meshes])
    for y in range(size_hw[0]):
        for x in range(size_hw[1]):
            ray = np.linalg.solve(camera, (x + 0.5, y + 0.5, 1.0))
            for at, (a, b, c) in enumerate(corners):
                edges = np.column_stack((b - a, c - a, -ray))
                if np.cross(b - a, c - a) @ a >= 0 or abs(np.linalg.det(edges)) < 1e-12:
                    continue
                u, v, t = np.linalg.solve(edges, -a)
                if u >= 0 and v >= 0 and u + v <= 1 and 0 < t < depth[y, x]:
                    depth[y, x], owner[y, x] = t, at
    return depth, owner


def test_the_buffer_shows_what_rays_meet_first() -> None:
    one = box((-0.5, -0.4, -0.3), (0.5, 0.4, 0.3), (200, 0, 0)).moved(rotation_of(np.array([0.7, 0.5, 0.1])), (0, 0, 2))
    two = cylinder((-1, -0.6, 2.3), (1, 0.5, 1.4), 0.15, (0, 200, 0))  # goes through it
    buffer = Buffer(HW)
    for mesh in (one, two):
        buffer.draw(mesh, CAMERA, LIGHT)
    depth, owner = cast([one, two], CAMERA, HW)
    assert (owner != NOTHING).sum() > 100
    np.testing.assert_allclose(buffer.nearness, 1 / depth, atol=1e-9)
    assert (buffer.owner == owner).mean() > 0.995  # a pixel on an edge may be either's


def test_drawing_in_another_order_shows_the_same() -> None:
    meshes = [box((x, -0.2, 1 + x), (x + 0.3, 0.2, 1.5 + x), (80 * x + 90, 0, 0)) for x in (-0.5, 0.0, 0.4)]
    shown = []
    for order in (meshes, meshes[::-1]):
        buffer = Buffer(HW)
        for mesh in order:
            buffer.draw(mesh, CAMERA, LIGHT)
        shown.append(buffer.over(np.zeros((*HW, 3), np.uint8)))
    assert (shown[0] == shown[1]).all()
    assert len(np.unique(shown[0][..., 0])) >= 4


def test_a_side_that_faces_the_lamp_has_its_colour_and_nothing_leaves_the_background() -> None:
    buffer = Buffer(HW)
    buffer.draw(box((-0.2, -0.2, 1), (0.2, 0.2, 1.2), (200, 100, 50)), CAMERA, LIGHT)
    shown = buffer.over(np.full((*HW, 3), 7, np.uint8))
    assert shown[12, 16].tolist() == [200, 100, 50]
    assert shown[0, 0].tolist() == [7, 7, 7]


def test_what_is_behind_the_camera_is_not_drawn() -> None:
    buffer = Buffer(HW)
    buffer.draw(box((-1, -1, -3), (1, 1, -2), (200, 0, 0)), CAMERA, LIGHT)
    assert (buffer.owner == NOTHING).all()


def test_drawing_on_a_copy_leaves_the_buffer() -> None:
    buffer = Buffer(HW)
    buffer.copy().draw(box((-0.2, -0.2, 1), (0.2, 0.2, 1.2), (200, 100, 50)), CAMERA, LIGHT)
    assert (buffer.owner == NOTHING).all()


def test_the_keypoints_of_the_truck_lie_on_its_surface() -> None:
    corners = truck.mesh().vertices[truck.mesh().triangles]
    for name, place in truck.KEYPOINTS.items():
        assert _distance(np.array(place), corners) < 0.012, name


def test_no_turn_and_no_mirror_puts_the_keypoints_of_the_truck_onto_themselves() -> None:
    points = truck.keypoints()
    middle = points.mean(0)
    for signs in ((1, -1, 1), (-1, 1, 1), (-1, -1, 1)):
        turned = (points - middle) * signs + middle
        nearest = np.linalg.norm(turned[:, None] - points, axis=2).min(1)
        assert nearest.max() > 0.02


def test_the_diameter_is_the_longest_of_all_distances() -> None:
    assert diameter(box((0, 0, 0), (3, 4, 12), (0, 0, 0)).vertices) == pytest.approx(13)


def _distance(place: F, corners: F) -> float:
    """Of a place from the nearest of many points spread over triangles."""
    shares = np.array([(a, b, 1 - a - b) for a in np.linspace(0, 1, 21) for b in np.linspace(0, 1, 21) if a + b <= 1])
    return float(np.linalg.norm((shares @ corners).reshape(-1, 3) - place, axis=1).min())


@pytest.mark.parametrize("seed", range(3))
def test_a_picture_shows_the_object_where_its_labels_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mesh, keypoints, how = truck.mesh(), truck.keypoints(), Views(size_hw=(120, 160), focal_px=(150, 200))
    view = any_view(how, mesh.vertices.mean(0), rng)
    made = picture(mesh, keypoints, view, how.size_hw, np.random.default_rng(seed), 0)
    vertices = project(view.camera, in_camera(mesh.vertices, view.rotation, view.translation))
    buffer = Buffer(how.size_hw)
    buffer.draw(mesh.moved(view.rotation, view.translation), view.camera, LIGHT)
    ys, xs = np.nonzero(buffer.owner != NOTHING)
    assert abs(xs.min() - vertices[:, 0].min()) < 2
    assert abs(xs.max() + 1 - vertices[:, 0].max()) < 2
    assert abs(ys.min() - vertices[:, 1].min()) < 2
    assert made.visible.any()
    x, y = np.floor(made.keypoints[made.visible]).astype(int).T
    near = [(buffer.owner[b - 1 : b + 2, a - 1 : a + 2] != NOTHING).any() for a, b in zip(x, y, strict=True)]
    assert all(near)


def test_a_keypoint_behind_the_object_or_behind_another_thing_is_hidden() -> None:
    mesh, keypoints = box((-0.1, -0.1, -0.1), (0.1, 0.1, 0.1), (200, 0, 0)), np.array([[0, 0, -0.1], [0, 0, 0.1]])
    view = any_view(Views(size_hw=HW), np.zeros(3), np.random.default_rng(0))._replace(
        camera=CAMERA, rotation=np.eye(3), translation=np.array([0, 0, 1.0])
    )
    made = picture(mesh, keypoints, view, HW, np.random.default_rng(0), 0)
    assert made.visible.tolist() == [True, False]


def test_things_in_front_hide_keypoints_but_leave_most_of_the_object() -> None:
    mesh, keypoints, how = truck.mesh(), truck.keypoints(), Views(size_hw=(120, 160), focal_px=(150, 200))
    hidden = 0
    for seed in range(6):
        view = any_view(how, mesh.vertices.mean(0), np.random.default_rng(seed))
        bare, full = (picture(mesh, keypoints, view, how.size_hw, np.random.default_rng(seed), n) for n in (0, 6))
        assert not (full.visible & ~bare.visible).any()
        hidden += int((bare.visible & ~full.visible).sum())
    assert hidden >= 3


def test_the_same_chance_makes_the_same_picture() -> None:
    mesh, how = truck.mesh(), Views(size_hw=(60, 80), focal_px=(80, 90))
    view = any_view(how, np.zeros(3), np.random.default_rng(4))
    one, other = (picture(mesh, truck.keypoints(), view, how.size_hw, np.random.default_rng(5), 2) for _ in range(2))
    assert (one.pixels == other.pixels).all()


def test_meshes_joined_keep_their_triangles_and_colours() -> None:
    parts = [box((0, 0, 0), (1, 1, 1), (1, 2, 3)), cylinder((3, 0, 0), (4, 0, 0), 0.5, (4, 5, 6), (7, 8, 9))]
    whole = joined(parts)
    assert volume(whole) == pytest.approx(sum(volume(part) for part in parts))
    assert {tuple(colour) for colour in whole.colours} == {(1, 2, 3), (4, 5, 6), (7, 8, 9)}
