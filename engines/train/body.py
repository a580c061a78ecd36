"""An articulated body: angles of its joints in, places of its joints out.

Lengths are shares of the body's height. Body axes: to its left, up, forward. Camera axes: right, down, towards the
viewer. Sides come left before right. Source of the proportions: Drillis and Contini, Body Segment Parameters, 1966.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.ops.skeleton import COCO

F = NDArray[np.floating[Any]]

THIGH, SHANK, FOOT, ANKLE_HEIGHT = 0.245, 0.246, 0.1, 0.039
UPPER_ARM, FOREARM, HAND = 0.186, 0.146, 0.08
SPINE, NECK, HEAD = 0.288, 0.052, 0.075
"""Hips to shoulders, shoulders to the head's base, and half the head's height."""
SHOULDER_HALF, HIP_HALF = 0.115, 0.07
HEAD_WIDTH = 0.8
"""Of a head, beside its height."""
EYE, EAR, NOSE = (0.36, 0.12, 0.93), (0.95, 0.0, -0.05), (0.0, -0.12, 1.05)
"""Directions from the middle of the head: left, up, forward; of the left eye and ear."""


@dataclass(frozen=True)
class Build:
    """How somebody is made."""

    width: float = 1.0
    """Of trunk and limbs; 1 is average."""
    head: float = 1.0
    """Size of the head; a child's is about 1.4."""
    legs: float = 1.0
    """Length of the legs."""


def _zeros(*shape: int) -> F:
    return np.zeros(shape)


@dataclass(frozen=True)
class Pose:
    """Angles in radians; of pairs the left comes first."""

    yaw: float = 0.0
    """0 faces the viewer, a quarter turn the right edge of the picture."""
    lean: float = 0.0
    """Of the trunk, forward."""
    bend: float = 0.0
    """Of the trunk, to the left."""
    hips: F = field(default_factory=lambda: _zeros(2, 2))
    """(2, 2): thigh forward and outward."""
    knees: F = field(default_factory=lambda: _zeros(2))
    """(2,): 0 is straight."""
    shoulders: F = field(default_factory=lambda: _zeros(2, 2))
    """(2, 2): upper arm forward and outward."""
    elbows: F = field(default_factory=lambda: _zeros(2))
    """(2,): 0 is straight."""
    head: tuple[float, float] = (0.0, 0.0)
    """Turned to the left, and bowed."""


@dataclass(frozen=True)
class Joints:
    """Places (3,) or (2, 3) in shares of the height from the point of the ground under the hips, camera axes."""

    hips: F
    knees: F
    ankles: F
    toes: F
    shoulders: F
    elbows: F
    wrists: F
    fingers: F
    pelvis: F
    chest: F
    head: F
    """The middle of the head."""
    head_axes: F
    """(3, 3): rows are the head's left, up and forward."""

    def keypoints(self, head_size: float = 1.0) -> F:
        """(17, 3) places of the COCO keypoints; eyes, ears and nose lie on the surface of the head."""
        radii = HEAD * head_size * np.array([HEAD_WIDTH, 1.0, HEAD_WIDTH])
        mirror = np.array([-1.0, 1.0, 1.0])
        eye, ear = np.array(EYE) / np.linalg.norm(EYE), np.array(EAR)
        directions = np.array([NOSE, eye, eye * mirror, ear, ear * mirror])
        face = self.head + radii * directions @ self.head_axes
        limbs = (self.shoulders, self.elbows, self.wrists, self.hips, self.knees, self.ankles)
        places = np.concatenate((face, *limbs))
        assert len(places) == len(COCO.names)
        return places


def joints(pose: Pose, build: Build, camera_pitch: float = 0.0) -> Joints:
    """Where the joints are.

    Args:
        pose: the angles.
        build: the proportions.
        camera_pitch: how far down the camera looks, radians.
    """
    left, up, forward = np.eye(3)
    thighs = np.array([_limb(-up, forward, left, pose.hips[at], side) for at, side in enumerate((1, -1))])
    lower = pose.hips - np.stack((pose.knees, np.zeros(2)), 1)
    shanks = np.array([_limb(-up, forward, left, lower[at], side) for at, side in enumerate((1, -1))])
    hips = np.array([left, -left]) * HIP_HALF * build.width**0.5
    knees = hips + thighs * THIGH * build.legs
    ankles = knees + shanks * SHANK * build.legs
    toes = ankles + FOOT * (forward - 0.3 * up + np.array([0.25, -0.25])[:, None] * left)

    leaning = np.cos(pose.lean) * up + np.sin(pose.lean) * forward
    trunk = np.cos(pose.bend) * leaning + np.sin(pose.bend) * left
    across = np.cos(pose.bend) * left - np.sin(pose.bend) * leaning
    ahead = np.cross(across, trunk)
    chest = SPINE * trunk
    shoulders = chest + np.array([across, -across]) * SHOULDER_HALF * build.width**0.5
    arms = np.array([_limb(-trunk, ahead, across, pose.shoulders[at], side) for at, side in enumerate((1, -1))])
    bent = pose.shoulders * (1, 0.5) + np.stack((pose.elbows, np.zeros(2)), 1)
    forearms = np.array([_limb(-trunk, ahead, across, bent[at], side) for at, side in enumerate((1, -1))])
    elbows = shoulders + arms * UPPER_ARM
    wrists = elbows + forearms * FOREARM
    axes = _head_axes(pose.head, across, trunk, ahead)
    head = chest + NECK * trunk + HEAD * build.head * (axes[1] + 0.2 * axes[2])

    lift = ANKLE_HEIGHT - ankles[:, 1].min()
    to_camera = _to_camera(pose.yaw, camera_pitch)
    places = (hips, knees, ankles, toes, shoulders, elbows, wrists, wrists + forearms * HAND, _zeros(3), chest, head)
    moved = [(place + lift * up) @ to_camera for place in places]
    return Joints(*moved, *[axes @ to_camera])


def walking(phase: float, yaw: float, stride: float = 1.0) -> Pose:
    """A body that walks.

    Args:
        phase: 2 pi for two steps; the left leg is ahead at a quarter of it.
        yaw: where it walks to: see `Pose`.
        stride: 1 is an easy walk, 1.8 a run; 0 stands.
    """
    swing = np.sin(phase + np.array([0, np.pi]))
    lifted = np.maximum(np.cos(phase + np.array([0, np.pi])), 0)
    fast = max(stride - 1, 0)
    return Pose(
        yaw=yaw,
        lean=0.04 + 0.15 * fast,
        hips=np.stack((0.42 * stride * swing, np.full(2, 0.03)), 1),
        knees=0.08 + (0.6 * min(stride, 1) + 0.8 * fast) * lifted,
        shoulders=np.stack((-0.4 * stride * swing, np.full(2, 0.12)), 1),
        elbows=0.25 + 1.2 * fast + 0.2 * stride * np.maximum(-swing, 0),
    )


def any_pose(rng: np.random.Generator) -> Pose:
    """A body that does something: it stands, walks, runs, sits, reaches or bends, facing anywhere."""
    yaw = float(rng.uniform(-np.pi, np.pi)) if rng.random() < 0.6 else float(rng.normal(0, 0.6))
    kind = rng.choice(["walk", "run", "stand", "sit", "reach", "bend"], p=[0.25, 0.1, 0.3, 0.1, 0.15, 0.1])
    phase = float(rng.uniform(0, 2 * np.pi))
    base = walking(phase, yaw, {"walk": 1.0, "run": 1.8}.get(kind, 0.1))
    hips, knees, shoulders, elbows = (np.array(each) for each in (base.hips, base.knees, base.shoulders, base.elbows))
    lean = base.lean
    if kind == "sit":
        hips[:, 0], knees[:] = rng.normal(1.45, 0.15), rng.normal(1.5, 0.2, 2)
    if kind == "bend":
        lean = rng.uniform(0.4, 1.3)
        hips[:, 0] += 0.2
    if kind in ("stand", "sit", "bend"):
        shoulders[:, 0], shoulders[:, 1] = rng.uniform(-0.3, 1.4, 2), rng.uniform(0.02, 0.7, 2)
        elbows[:] = rng.uniform(0, 2.2, 2)
    if kind == "reach":
        raised = rng.random(2) < 0.7
        shoulders[:, 0] = np.where(raised, rng.uniform(1.2, 3.0, 2), shoulders[:, 0])
        shoulders[:, 1] = np.where(raised, rng.uniform(0, 0.9, 2), shoulders[:, 1])
        elbows[:] = rng.uniform(0, 1.4, 2)
    return Pose(
        yaw=yaw,
        lean=lean + rng.normal(0, 0.06),
        bend=rng.normal(0, 0.08),
        hips=hips + rng.normal(0, 0.08, (2, 2)),
        knees=np.maximum(knees + rng.normal(0, 0.08, 2), 0),
        shoulders=shoulders + rng.normal(0, 0.08, (2, 2)),
        elbows=np.maximum(elbows, 0),
        head=(rng.normal(0, 0.35), rng.normal(0.05, 0.2)),
    )


def any_build(rng: np.random.Generator) -> Build:
    """Somebody: slim or broad, grown up or not."""
    child = rng.random() < 0.15
    return Build(
        width=float(rng.uniform(0.85, 1.35)),
        head=float(rng.uniform(1.2, 1.5) if child else rng.uniform(0.92, 1.12)),
        legs=float(rng.uniform(0.82, 0.92) if child else rng.uniform(0.95, 1.05)),
    )


def _limb(down: F, ahead: F, left: F, angles: F, side: int) -> F:
    """The direction of a limb that hangs down at angles (forward, outward) of 0; side: 1 left, -1 right."""
    forward, outward = angles
    hanging = np.cos(forward) * down + np.sin(forward) * ahead
    direction: F = np.cos(outward) * hanging + np.sin(outward) * side * left
    return direction


def _head_axes(turned: tuple[float, float], left: F, up: F, forward: F) -> F:
    aside, bowed = turned
    ahead = np.cos(aside) * forward + np.sin(aside) * left
    across = np.cos(aside) * left - np.sin(aside) * forward
    return np.array([across, np.cos(bowed) * up + np.sin(bowed) * ahead, np.cos(bowed) * ahead - np.sin(bowed) * up])


def _to_camera(yaw: float, pitch: float) -> F:
    """(3, 3) rows: where the body's left, up and forward point to in camera axes."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    turned = np.array([[cos, 0, -sin], [0, -1, 0], [sin, 0, cos]])
    down, near = np.cos(pitch), np.sin(pitch)
    camera = np.array([[1, 0, 0], [0, down, -near], [0, near, down]])
    to_camera: F = turned @ camera
    return to_camera
