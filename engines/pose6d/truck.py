"""The object that the bundled network knows: a toy tow truck, 24 cm long, unlike itself from every side.

Axes: x to its front, y to its left, z up, metres; the origin lies on the ground below its middle.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.pose6d.camera import rotation_of
from engines.pose6d.mesh import F, Mesh, box, cylinder, joined

KEYPOINTS: Final[dict[str, tuple[float, float, float]]] = {
    "roof_front_left": (0.10, 0.045, 0.125),
    "roof_front_right": (0.10, -0.045, 0.125),
    "roof_back_left": (0.03, 0.045, 0.125),
    "roof_back_right": (0.03, -0.045, 0.125),
    "front_left": (0.12, 0.045, 0.02),
    "front_right": (0.12, -0.045, 0.02),
    "rear_left": (-0.12, 0.045, 0.02),
    "rear_right": (-0.12, -0.045, 0.02),
    "bed_left": (-0.12, 0.045, 0.075),
    "bed_right": (-0.12, -0.045, 0.075),
    "exhaust": (0.015, -0.035, 0.165),
    "crane": (-0.10, 0.02, 0.17),
    "wheel_front_left": (0.075, 0.062, 0.03),
    "wheel_front_right": (0.075, -0.062, 0.03),
    "wheel_rear_left": (-0.075, 0.062, 0.03),
    "wheel_rear_right": (-0.075, -0.062, 0.03),
}
"""Name -> place; 16 of them."""


def keypoints() -> F:
    """(16, 3) places of the keypoints."""
    return np.array(list(KEYPOINTS.values()))


def mesh() -> Mesh:
    """Its surface."""
    wheels = [
        cylinder((x, y, 0.03), (x, y + side * 0.022, 0.03), 0.03, (35, 35, 38), hub)
        for x in (0.075, -0.075)
        for y, side, hub in ((0.04, 1, (190, 190, 195)), (-0.04, -1, (235, 130, 30)))
    ]
    return joined(
        [
            box((-0.12, -0.045, 0.02), (0.12, 0.045, 0.045), (62, 66, 84)),
            box((0.03, -0.045, 0.045), (0.10, 0.045, 0.125), (196, 40, 38)),
            box((0.099, -0.036, 0.08), (0.102, 0.036, 0.115), (150, 205, 230)),
            box((0.045, 0.044, 0.08), (0.09, 0.047, 0.115), (150, 205, 230)),
            box((0.03, -0.047, 0.06), (0.10, -0.044, 0.085), (240, 240, 235)),
            box((0.12, 0.02, 0.025), (0.123, 0.04, 0.042), (255, 250, 200)),
            box((-0.12, -0.045, 0.045), (0.02, 0.045, 0.075), (232, 188, 30)),
            box((-0.123, -0.04, 0.05), (-0.12, 0.0, 0.07), (120, 20, 90)),
            cylinder((0.015, -0.035, 0.045), (0.015, -0.035, 0.165), 0.009, (235, 235, 235), (30, 30, 30)),
            _crane(),
            *wheels,
        ]
    )


def _crane() -> Mesh:
    """A green arm that leans to the rear, with its tip in the middle of its upper end."""
    foot, tip = np.array([-0.02, 0.02, 0.07]), np.array(KEYPOINTS["crane"])
    length = float(np.linalg.norm(tip - foot))
    lean = np.arctan2(foot[0] - tip[0], tip[2] - foot[2])
    return box((-0.011, -0.011, 0), (0.011, 0.011, length), (40, 150, 70)).moved(
        rotation_of(np.array([0, -lean, 0])), foot
    )
