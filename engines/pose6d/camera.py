"""The pinhole camera: points of an object to pixels.

Axes of the camera: x right, y down, z forward. The centre of the top left pixel lies at (0.5, 0.5), so the optical
axis of a camera without offset meets the picture at half its width and height. Lengths are in the object's unit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]


def intrinsics(focal_px: float, size_hw: tuple[int, int]) -> F:
    """(3, 3) matrix of a camera with square pixels whose axis meets the middle of the picture."""
    height, width = size_hw
    return np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])


def cropped(camera: F, matrix: F) -> F:
    """(3, 3) intrinsics of the picture that an affine map (2, 3) of pixels makes: exact, as both are linear."""
    whole: F = np.vstack((matrix, (0, 0, 1))) @ camera
    return whole


def in_camera(points: F, rotation: F, translation: F) -> F:
    """(N, 3) points of the object (N, 3) in the axes of the camera."""
    moved: F = points @ rotation.T + translation
    return moved


def project(camera: F, points: F) -> F:
    """(N, 2) pixels of points (N, 3) in the axes of the camera; without meaning where z is not above 0."""
    flat = points @ camera.T
    pixels: F = flat[:, :2] / flat[:, 2:]
    return pixels


def normalised(camera: F, pixels: F) -> F:
    """(N, 2) x / z and y / z of the rays through pixels (N, 2): what a camera with intrinsics of unity would see."""
    rays = np.column_stack((pixels, np.ones(len(pixels)))) @ np.linalg.inv(camera).T
    flat: F = rays[:, :2] / rays[:, 2:]
    return flat


def rotation_of(vector: F) -> F:
    """(3, 3) rotation about a vector (3,) by its length in radians: Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-8:  # sin(a) / a and (1 - cos(a)) / a^2 at 0
        nearly: F = np.eye(3) + cross + cross @ cross / 2
        return nearly
    turned: F = np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross
    return turned


def angle_deg(one: F, other: F) -> float:
    """The angle, 0..180, by which one rotation (3, 3) must be turned to become the other.

    From the chord |R - S| = 2 sqrt(2) sin(angle / 2), which stays exact near 0, where the arc cosine of the trace
    does not.
    """
    chord = float(np.linalg.norm(one - other)) / (2 * np.sqrt(2))
    return float(np.degrees(2 * np.arcsin(min(chord, 1.0))))
