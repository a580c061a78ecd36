"""Pictures of an object whose pose is exact: any view, any light, any place behind it, things in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engines.pose6d.camera import F, cropped, in_camera, intrinsics, project, rotation_of
from engines.pose6d.mesh import Mesh, box, cylinder
from engines.pose6d.raster import Buffer, Light
from engines.train.synthetic import background

_KEPT_MIN = 0.7
"""A thing in front that would leave less than this share of what is seen of the object is left out."""
_SAME = 0.015
"""A keypoint no more than this share of its distance behind what is seen there is seen."""
_UP_TO_CAMERA = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""Axes of an object that is looked at from behind (x ahead, y left, z up) in those of the camera."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Which views there are."""

    size_hw: tuple[int, int] = (480, 640)
    focal_px: tuple[float, float] = (500.0, 800.0)
    distance: tuple[float, float] = (0.5, 1.1)
    """From the camera to the object's middle, in the object's unit."""
    elevation_deg: tuple[float, float] = (-15.0, 75.0)
    """How high above the object's ground the camera looks from; all around it in azimuth."""
    roll_deg: float = 25.0
    """The camera is turned about its axis by at most this, either way."""
    occluders: int = 2
    """At most so many things stand in front of the object."""


class View(NamedTuple):
    """Where an object stands before which camera."""

    camera: F
    """(3, 3) intrinsics."""
    rotation: F
    """(3, 3) from the object's axes to the camera's."""
    translation: F
    """(3,) the object's origin in the camera's axes."""


class Picture(NamedTuple):
    """What a view looks like."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    keypoints: F
    """(K, 2) pixels."""
    visible: NDArray[np.bool_]
    """(K,) neither hidden, by the object itself or by another, nor outside of the picture."""


def any_view(how: Views, middle: F, rng: np.random.Generator) -> View:
    """A view by chance; the object's middle (3,) lies in the inner half of the picture."""
    height, width = how.size_hw
    camera = intrinsics(rng.uniform(*how.focal_px), how.size_hw)
    rotation = turned(rng.uniform(0, 360), rng.uniform(*how.elevation_deg), rng.uniform(-how.roll_deg, how.roll_deg))
    at = (rng.uniform(0.25, 0.75) * width, rng.uniform(0.25, 0.75) * height, 1.0)
    ray = np.linalg.solve(camera, at)
    place = rng.uniform(*how.distance) * ray / np.linalg.norm(ray)
    return View(camera, rotation, place - rotation @ middle)


def turned(azimuth_deg: float, elevation_deg: float, roll_deg: float) -> F:
    """(3, 3) rotation to the camera of an object that is looked at from its rear, and higher up, at azimuth 0."""
    azimuth, elevation, roll = np.radians((azimuth_deg, elevation_deg, roll_deg))
    about_up, across, ahead = np.array([0, 0, azimuth]), np.array([elevation, 0, 0]), np.array([0, 0, roll])
    rotation: F = rotation_of(ahead) @ rotation_of(across) @ _UP_TO_CAMERA @ rotation_of(about_up)
    return rotation


def seen_from(rotation: F) -> tuple[float, float]:
    """Azimuth, -180..180, and elevation, -90..90, in degrees: what `turned` was given, whatever the roll."""
    x, y, z = rotation[2]  # where the camera looks, in the object's axes
    return float(np.degrees(np.arctan2(-y, x))), float(np.degrees(np.arcsin(np.clip(-z, -1, 1))))


def picture(
    mesh: Mesh, keypoints: F, view: View, size_hw: tuple[int, int], rng: np.random.Generator, occluders: int
) -> Picture:
    """A picture of a view, in some light and before some place; chance decides which. Edges are smooth.

    Args:
        mesh: the object's surface.
        keypoints: (K, 3) in its axes.
        view: where it stands.
        size_hw: of the picture.
        rng: chance.
        occluders: at most so many things stand in front.
    """
    fine = cropped(view.camera, np.array([[2, 0, 0], [0, 2, 0]], float))
    light = _any_light(rng)
    buffer = Buffer((2 * size_hw[0], 2 * size_hw[1]))
    paint = rng.normal(0, 10, 3) + rng.normal(0, 6, (len(mesh.colours), 1))
    shown = mesh.moved(view.rotation, view.translation)._replace(colours=mesh.colours + paint)
    buffer.draw(shown, fine, light)
    for _ in range(int(rng.integers(occluders + 1))):
        buffer = _occluded(buffer, len(mesh.triangles), _any_thing(shown, rng), fine, light)
    back = background(rng, size_hw).repeat(2, 0).repeat(2, 1)
    pixels = _reduced(buffer.over(back))
    placed = in_camera(keypoints, view.rotation, view.translation)
    return Picture(pixels, project(view.camera, placed), _seen(buffer, project(fine, placed), placed))


def _reduced(fine: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) at half the size, each pixel the mean of four."""
    rows = fine[::2].astype(np.uint16) + fine[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) // 4).astype(np.uint8)


def _any_light(rng: np.random.Generator) -> Light:
    towards = rng.normal(0, 1, 3) + (0, -1.0, -1.2)
    return Light(towards / np.linalg.norm(towards), rng.uniform(0.35, 0.75), rng.uniform(0.2, 0.7))


def _any_thing(shown: Mesh, rng: np.random.Generator) -> Mesh:
    """A bar or a box nearer to the camera than the object, in front of some place of it."""
    size = float(np.ptp(shown.vertices, axis=0).max())
    place = shown.vertices[rng.integers(len(shown.vertices))] * rng.uniform(0.6, 0.9)
    reach = rng.uniform(0.04, 0.35, 3) * size
    colour = rng.uniform(10, 245, 3)
    if rng.random() < 0.5:
        thing = box(-reach / 2, reach / 2, colour)
    else:
        thing = cylinder((0, 0, -1.2 * size), (0, 0, 1.2 * size), 0.2 * reach[0], colour)
    return thing.moved(rotation_of(rng.normal(0, 2, 3)), place)


def _occluded(buffer: Buffer, own: int, thing: Mesh, camera: F, light: Light) -> Buffer:
    """The picture with a thing in it, unless too little of its first `own` triangles would be left."""
    other = buffer.copy()
    other.draw(thing, camera, light)
    before, after = (int(((each.owner >= 0) & (each.owner < own)).sum()) for each in (buffer, other))
    return other if after >= _KEPT_MIN * before else buffer


def _seen(buffer: Buffer, pixels: F, placed: F) -> NDArray[np.bool_]:
    """(K,) whether places (K, 3) in the camera's axes, and their pixels (K, 2), are neither hidden nor outside."""
    height, width = buffer.owner.shape
    x, y = np.floor(pixels).astype(int).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    nearness = buffer.nearness[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    seen: NDArray[np.bool_] = inside & (nearness * placed[:, 2] < 1 + _SAME)
    return seen
