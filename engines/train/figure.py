"""Somebody with clothes, skin and hair, painted as a body of rounded parts; and which keypoints are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.train.body import EYE, HEAD, HEAD_WIDTH, Build, Joints, Pose, any_build, joints
from engines.train.paint import Canvas, Capsule, Surface, capsules, cloth, ellipsoid, worn

F = NDArray[np.floating[Any]]
Pattern = NDArray[np.float32]

_SKINS = np.array([[240, 205, 180], [224, 178, 145], [190, 135, 100], [140, 92, 65], [90, 58, 42]], float)
_HAIRS = np.array([[25, 20, 18], [60, 40, 25], [110, 75, 40], [190, 150, 80], [150, 150, 150], [140, 60, 30]], float)
_DEPTHS = np.array([*[0.03] * 5, *[0.075] * 2, *[0.055] * 4, *[0.13] * 2, *[0.075] * 2, *[0.06] * 2])
"""(17,) How far under the surface a keypoint lies at most where it is seen, in heights."""


@dataclass(frozen=True)
class Looks:
    """What somebody wears and looks like; it stays the same from frame to frame."""

    build: Build
    shirt: Pattern
    trousers: Pattern
    shoes: Pattern
    skin: F
    """(3,) colour."""
    hair: F
    """(3,) colour."""
    long_hair: bool
    sleeves: int
    """0 bare arms, 1 to the elbow, 2 to the wrist."""
    legs: int
    """0 bare from the hip, 1 to the knee, 2 to the ankle."""
    skirt: bool


def any_looks(rng: np.random.Generator) -> Looks:
    """Somebody of any build in any clothes."""
    skin = np.clip(_SKINS[rng.integers(len(_SKINS))] + rng.normal(0, 8, 3), 0, 255)
    return Looks(
        build=any_build(rng),
        shirt=cloth(rng, rng.uniform(15, 245, 3)),
        trousers=cloth(rng, np.clip(rng.uniform(15, 200) + rng.normal(0, 30, 3), 0, 255)),
        shoes=cloth(rng, rng.uniform(10, 230, 3)),
        skin=skin,
        hair=np.clip(_HAIRS[rng.integers(len(_HAIRS))] + rng.normal(0, 8, 3), 0, 255),
        long_hair=bool(rng.random() < 0.4),
        sleeves=int(rng.integers(3)),
        legs=int(rng.choice([0, 1, 2], p=[0.1, 0.25, 0.65])),
        skirt=bool(rng.random() < 0.15),
    )


@dataclass(frozen=True)
class Place:
    """Where somebody stands."""

    ground_xy: tuple[float, float]
    """The point of the ground under the hips, in pixels."""
    height_px: float
    near_px: float
    """How near to the viewer: those of higher values stand in front."""
    camera_pitch: float = 0.0


def painted(canvas: Canvas, owner: int, looks: Looks, pose: Pose, place: Place) -> F:
    """Somebody, painted into the canvas.

    Returns:
        (17, 3) the keypoints: x, y and z in pixels; what hides them may be painted later: see `seen`.
    """
    body = joints(pose, looks.build, place.camera_pitch)
    origin = np.array([*place.ground_xy, place.near_px])

    def pixels(point: F) -> F:
        at: F = origin + place.height_px * point
        return at

    size_hw = (canvas.z.shape[0], canvas.z.shape[1])
    turn = pose.yaw / (2 * np.pi)
    surfaces = []
    for pattern, parts in _clothed(body, looks):
        scaled = [Capsule(pixels(a), pixels(b), r * place.height_px, s * place.height_px) for a, b, r, s in parts]
        if surface := capsules(scaled, size_hw):
            surfaces.append((surface, worn(pattern, surface, turn)))
    radius = HEAD * looks.build.head * place.height_px
    if surface := ellipsoid(pixels(body.head), (HEAD_WIDTH * radius, radius), body.head_axes[1], size_hw):
        surfaces.append((surface, _face(surface, body.head_axes, looks)))
    for surface, colours in sorted(surfaces, key=lambda each: float(each[0].z.mean())):
        canvas.paint(surface, colours, owner)
    return pixels(body.keypoints(looks.build.head))


def seen(canvas: Canvas, keypoints: F, height_px: float) -> NDArray[np.int8]:
    """(17,) of each keypoint (17, 3): 2 it is seen, 1 something is in front of it, 0 it lies outside of the picture.

    To be asked when everybody is painted.
    """
    height, width = canvas.z.shape
    x, y = np.floor(keypoints[:, :2]).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    surface = canvas.z[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    visible = surface - keypoints[:, 2] <= _DEPTHS * height_px
    return np.where(inside, np.where(visible, 2, 1), 0).astype(np.int8)


_Part = tuple[F, F, float, float]


def _clothed(body: Joints, looks: Looks) -> list[tuple[Pattern, Sequence[_Part]]]:
    """What each part of the body is covered with; a part is several capsules: ends and radii in heights."""
    w = looks.build.width
    skin = np.broadcast_to(looks.skin.astype(np.float32), (32, 32, 3))
    over, under = (looks.shirt if looks.sleeves >= least else skin for least in (1, 2))
    thigh, shank = (looks.trousers if looks.legs >= least else skin for least in (1, 2))
    neck = body.chest + 0.6 * (body.head - body.chest)
    middle = (body.hips[0] + body.hips[1]) / 2
    trunk: list[_Part] = [(body.chest, middle, 0.075 * w, 0.07 * w), (*body.shoulders, 0.05 * w, 0.05 * w)]
    trunk += [(body.shoulders[at], body.hips[at], 0.05 * w, 0.05 * w) for at in (0, 1)]
    parts: list[tuple[Pattern, Sequence[_Part]]] = [
        (looks.shirt, trunk),
        (looks.trousers, [(*body.hips, 0.062 * w, 0.062 * w)]),
        (skin, [(body.chest, neck, 0.035, 0.035)]),
    ]
    for at in (0, 1):
        parts += [
            (thigh, [(body.hips[at], body.knees[at], 0.06 * w, 0.043 * w)]),
            (shank, [(body.knees[at], body.ankles[at], 0.043 * w, 0.028 * w)]),
            (looks.shoes, [(body.ankles[at], body.toes[at], 0.032, 0.025)]),
            (over, [(body.shoulders[at], body.elbows[at], 0.037 * w, 0.03 * w)]),
            (under, [(body.elbows[at], body.wrists[at], 0.03 * w, 0.021 * w)]),
            (skin, [(body.wrists[at], body.fingers[at], 0.022, 0.016)]),
        ]
    if looks.skirt:
        hems = 0.3 * body.hips + 0.7 * body.knees
        parts.append((looks.shirt, [(hip, hem, 0.07 * w, 0.08 * w) for hip, hem in zip(body.hips, hems, strict=True)]))
    if looks.long_hair:
        back = -0.05 * body.head_axes[2]
        hair = np.broadcast_to(looks.hair.astype(np.float32), (32, 32, 3))
        parts.append((hair, [(body.head + back, body.chest + 1.2 * back, 0.055, 0.045)]))
    return parts


def _face(surface: Surface, axes: F, looks: Looks) -> F:
    """(h, w, 3) colours of a head by where its surface points to: hair above and behind, eyes and mouth in front."""
    left, up, forward = np.moveaxis(surface.normal @ axes.T.astype(np.float32), -1, 0)
    colours = np.broadcast_to(looks.skin, (*left.shape, 3)).copy()
    eye = np.array(EYE) / np.linalg.norm(EYE)
    near_eye = np.abs(left) * eye[0] + up * eye[1] + forward * eye[2]
    colours[near_eye > 0.955] = 245
    colours[near_eye > 0.98] = 30
    colours[(np.abs(left) < 0.32) & (np.abs(up + 0.5) < 0.07) & (forward > 0)] = (150, 60, 60)
    colours[(np.abs(left) < 0.1) & (np.abs(up + 0.1) < 0.14) & (forward > 0)] *= 0.85
    hair = (up > 0.5 + 0.25 * forward) | ((forward < -0.15) & (up > (-0.9 if looks.long_hair else -0.45)))
    colours[hair] = looks.hair
    return colours
