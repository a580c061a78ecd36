"""The pose of least reprojection error near a first one, and how sure it is.

Letters: N points, C coefficients of the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from engines.pose6d.camera import F, in_camera, project, rotation_of

_HUBER = 1.5
"""Deviations beyond which an error counts linearly: of Gaussian noise it still uses 97 % of the information."""


@dataclass(frozen=True)
class Shape:
    """The points of an object, which may be one of a family: points + sum of coefficients times modes."""

    points: F
    """(N, 3) in the object's axes."""
    modes: F = field(default_factory=lambda: np.zeros((0, 0, 3)))
    """(C, N, 3) what a coefficient of 1 adds, one deviation among the family's members; none: the object is rigid."""

    def __post_init__(self) -> None:
        if len(self.modes) == 0:
            object.__setattr__(self, "modes", np.zeros((0, *self.points.shape)))
        if self.points.ndim != 2 or self.points.shape[1] != 3 or self.modes.shape[1:] != self.points.shape:
            raise ValueError(f"got points {self.points.shape}, modes {self.modes.shape}; expected (N, 3), (C, N, 3)")

    def __call__(self, coefficients: F) -> F:
        """(N, 3) the points of the member with coefficients (C,)."""
        points: F = self.points + np.tensordot(coefficients, self.modes, 1)
        return points

    def take(self, which: NDArray[Any]) -> Shape:
        """The chosen points, by index or by mask."""
        return Shape(self.points[which], self.modes[:, which])


@dataclass(frozen=True)
class Seen:
    """Where the points of an object are seen."""

    camera: F
    """(3, 3) intrinsics."""
    pixels: F
    """(N, 2)"""
    noise_px: F
    """(N,) standard deviation of each along an axis."""

    def take(self, which: NDArray[Any]) -> Seen:
        """The chosen points, by index or by mask."""
        return Seen(self.camera, self.pixels[which], self.noise_px[which])


@dataclass(frozen=True)
class Pose:
    """Where an object stands: X of the object is rotation @ X + translation in the axes of the camera."""

    rotation: F
    """(3, 3)"""
    translation: F
    """(3,)"""
    coefficients: F = field(default_factory=lambda: np.zeros(0))
    """(C,) of its shape."""
    covariance: F = field(default_factory=lambda: np.full((6, 6), np.nan))
    """(6 + C, 6 + C) of a small turn about the camera's axes, in radians, applied after the rotation, of the
    translation, and of the coefficients; NaN: unknown."""

    def errors_px(self, shape: Shape, seen: Seen) -> F:
        """(N, 2) from where points are seen to where they should be; infinite for points behind the camera."""
        placed = in_camera(shape(self.coefficients), self.rotation, self.translation)
        ahead = placed[:, 2] > 0
        placed[~ahead] = (0, 0, 1)
        return np.where(ahead[:, None], project(seen.camera, placed) - seen.pixels, np.inf)


def refined(first: Pose, shape: Shape, seen: Seen, loss: Literal["huber", "cauchy"] = "huber") -> Pose:
    """The pose near the first one whose reprojection errors, in deviations of the noise, cost least.

    The coefficients of the shape are held to a normal distribution of their own.

    Args:
        first: where to begin; without coefficients these begin at 0.
        shape: the object's points.
        seen: where they are seen.
        loss: huber, for points that have been looked through, or cauchy, where some may be anywhere.
    """
    count = len(shape.modes)

    def pose_of(values: F) -> Pose:
        return Pose(rotation_of(values[:3]) @ first.rotation, values[3:6], values[6:])

    def errors(values: F) -> F:
        pose = pose_of(values)
        placed = in_camera(shape(pose.coefficients), pose.rotation, pose.translation)
        placed[:, 2] = np.maximum(placed[:, 2], 1e-6)  # a step may carry a point behind the camera: it costs much there
        off = (project(seen.camera, placed) - seen.pixels) / seen.noise_px[:, None]
        return np.concatenate((off.ravel(), pose.coefficients))

    coefficients = first.coefficients if len(first.coefficients) == count else np.zeros(count)
    start = np.concatenate((np.zeros(3), first.translation, coefficients))
    scale = np.concatenate((np.ones(3), np.full(3, np.linalg.norm(first.translation)), np.ones(count)))
    found = least_squares(errors, start, loss=loss, f_scale=_HUBER, x_scale=scale, method="trf", max_nfev=60)
    pose = pose_of(found.x)
    return Pose(pose.rotation, pose.translation, pose.coefficients, covariance(pose, shape, seen))


def covariance(pose: Pose, shape: Shape, seen: Seen) -> F:
    """(6 + C, 6 + C) of the pose: see `Pose.covariance`; infinite where the points do not fix it.

    The inverse of J^T J, with J the slopes of the errors in deviations of the noise, times the mean square of these
    errors: so noise that was told too small or too large does no harm. Source: Hartley and Zisserman, Multiple View
    Geometry, 5.2.
    """
    slopes = _slopes(pose, shape, seen) / np.repeat(seen.noise_px, 2)[:, None]
    count = len(shape.modes)
    prior = np.zeros((count, 6 + count))
    prior[:, 6:] = np.eye(count)
    curvature = slopes.T @ slopes + prior.T @ prior
    if np.linalg.cond(curvature) > 1 / np.finfo(float).eps:
        return np.full_like(curvature, np.inf)
    errors = pose.errors_px(shape, seen) / seen.noise_px[:, None]
    free = errors.size - 6
    spread = float(np.square(errors).sum()) / free if free > 0 else 1.0
    return np.linalg.inv(curvature) * spread


def _slopes(pose: Pose, shape: Shape, seen: Seen) -> F:
    """(2 N, 6 + C) derivatives of the pixels by turn, translation and coefficients."""
    turned = shape(pose.coefficients) @ pose.rotation.T
    x, y, z = (turned + pose.translation).T
    of_place = np.zeros((len(turned), 2, 3))
    of_place[:, 0, 0] = of_place[:, 1, 1] = 1 / z
    of_place[:, 0, 2], of_place[:, 1, 2] = -x / z**2, -y / z**2
    of_place = seen.camera[:2, :2] @ of_place
    cross = np.zeros((len(turned), 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):  # w x p: each column is an axis times p
        cross[:, i, j], cross[:, j, i] = turned[:, k], -turned[:, k]
    modes = np.einsum("ij,cnj->nic", pose.rotation, shape.modes)
    ways = np.concatenate((cross, np.tile(np.eye(3), (len(turned), 1, 1)), modes), 2)
    slopes: F = (of_place @ ways).reshape(2 * len(turned), -1)
    return slopes
