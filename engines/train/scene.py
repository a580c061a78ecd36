"""People who walk over time, each with a number: they turn, cross, leave the picture and come back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.train.body import Pose, walking

F = NDArray[np.floating[Any]]

HORIZON = 0.3
"""Where the horizon of a scene lies: a share of the picture's height, from above."""
_SHORTER = 3.0
"""How much shorter a way towards the viewer looks than one across."""
_STEPS_A_HEIGHT = 1.3
"""Pairs of steps that somebody makes while walking their own height."""
_TURN_S = 0.5
"""How long a turn takes."""
_PERSON_TO_CAMERA = 1.25
"""A person's height to the camera's: how high people are below the horizon."""


@dataclass(frozen=True)
class Walk:
    """Somebody's way: straight from one place to the next, at one pace; then they stand."""

    id: int
    xy: F
    """(n, 2) the places where the feet are, in shares of width and height of the picture; may lie outside."""
    start_s: float
    pace: float
    """Own heights a second."""
    phase: float
    """Of the steps at the start."""


@dataclass(frozen=True)
class Moment:
    """Somebody at a time."""

    id: int
    ground_xy: tuple[float, float]
    """Pixels."""
    height_px: float
    pose: Pose


def moment(walk: Walk, time_s: float, size_hw: tuple[int, int], horizon: float) -> Moment:
    """Where somebody is, and in the middle of which step.

    Args:
        walk: the way.
        time_s: since the beginning of the scene.
        size_hw: of the picture, in pixels.
        horizon: its share of the picture's height from above; people are smaller the nearer to it they are.
    """
    legs = _legs(walk.xy, size_hw, horizon)
    whole = float(legs.sum())
    distance = min(max(time_s - walk.start_s, 0.0) * walk.pace, whole)
    x, y = (float(np.interp(distance, _corners(legs), axis)) for axis in walk.xy.T)
    yaw = _yaw(walk, distance, legs, size_hw)
    phase = walk.phase + 2 * math.pi * _STEPS_A_HEIGHT * distance
    pose = walking(phase, yaw, 1.0 if 0 < distance < whole else 0.0)
    return Moment(walk.id, (x * size_hw[1], y * size_hw[0]), height_px(y, size_hw, horizon), pose)


def height_px(y: float, size_hw: tuple[int, int], horizon: float) -> float:
    """How high somebody is in the picture whose feet are at y, a share of its height."""
    return max(_PERSON_TO_CAMERA * (y - horizon) * size_hw[0], 1.0)


def crossing(rng: np.random.Generator, size_hw: tuple[int, int], people: int, duration_s: float) -> list[Walk]:
    """Ways of people that cross in the picture: some go through it, one of three leaves it and comes back.

    Numbers of people begin at 1.
    """
    walks = []
    for number in range(people):
        y = rng.uniform(0.72, 1.02)
        side = 1 if number % 2 == 0 else -1
        left, right = (-0.15, 1.15) if side > 0 else (1.15, -0.15)
        if number % 3 == 2:  # leaves, is away for a while, and comes back the same way
            inside = rng.uniform(0.3, 0.7)
            xy = np.array([[inside, y], [right, y + rng.normal(0, 0.02)], [inside, y]])
        else:
            xy = np.array([[left, y], [rng.uniform(0.35, 0.65), y + rng.normal(0, 0.03)], [right, y]])
        length = float(_legs(xy, size_hw, HORIZON).sum())
        start_s = rng.uniform(0, 0.15) * duration_s
        pace = length / (duration_s * rng.uniform(0.7, 0.85))
        walks.append(Walk(number + 1, xy, start_s, pace, rng.uniform(0, 2 * np.pi)))
    return walks


def _legs(xy: F, size_hw: tuple[int, int], horizon: float) -> F:
    """(n - 1,) lengths of the parts of a way, in heights of the person at their middle."""
    own = [height_px(float(y), size_hw, horizon) for y in (xy[:-1, 1] + xy[1:, 1]) / 2]
    legs: F = np.hypot(*_steps_px(xy, size_hw).T) / own
    return legs


def _steps_px(xy: F, size_hw: tuple[int, int]) -> F:
    """(n - 1, 2) right and towards the viewer; a way towards the viewer looks shorter than it is."""
    height, width = size_hw
    steps: F = np.diff(xy, axis=0) * (width, _SHORTER * height)
    return steps


def _corners(legs: F) -> F:
    """(n,) how far along the way its places are."""
    return np.concatenate(([0.0], np.cumsum(legs)))


def _yaw(walk: Walk, distance: float, legs: F, size_hw: tuple[int, int]) -> float:
    """Where somebody faces who has come so far: along the way, and around each corner in a turn of `_TURN_S`."""
    yaws = [math.atan2(right, near) for right, near in _steps_px(walk.xy, size_hw)]
    yaw, width = yaws[0], walk.pace * _TURN_S
    for before, after, corner in zip(yaws[:-1], yaws[1:], _corners(legs)[1:-1], strict=True):
        turn = (after - before + math.pi) % (2 * math.pi) - math.pi  # the shorter way round
        yaw += turn * min(max((distance - corner) / width + 0.5, 0.0), 1.0)
    return yaw
