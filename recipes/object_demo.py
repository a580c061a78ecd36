"""The video that `recipes.object_pose --demo` makes: a rendered truck that turns, whose pose is exact in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.errors import OutputError
from engines.pose6d import truck
from engines.pose6d.camera import intrinsics
from engines.pose6d.views import View, picture, turned
from stream.demo import FPS, write_clip

SIZE_HW = (480, 640)
FOCAL_SHARE = 0.9
"""Focal length of a camera that is not known, as a share of the picture's width: 58 degrees from left to right."""
_MIDDLE = np.array([0.0, 0.0, 0.08])
"""Of the truck, about which it turns."""


def view(time_s: float) -> View:
    """Where the truck stands: it turns once in six seconds, comes nearer and goes, and sways."""
    sway = np.sin(2 * np.pi * time_s / 4)
    rotation = turned(150 + 60 * time_s, 28 + 14 * np.cos(time_s), 8 * sway)
    place = np.array([0.1 * sway, 0.02, 0.62 + 0.12 * np.cos(time_s)])
    return View(intrinsics(FOCAL_SHARE * SIZE_HW[1], SIZE_HW), rotation, place - rotation @ _MIDDLE)


def make_demo(path: Path, seconds: float = 5.0) -> Path:
    """Write the video and return its path.

    Raises:
        OutputError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, _frames(seconds), SIZE_HW)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; name another folder by --demo") from error
    return path


def _frames(seconds: float) -> Iterator[NDArray[np.uint8]]:
    mesh, keypoints = truck.mesh(), truck.keypoints()
    for number in range(round(seconds * FPS)):
        chance = np.random.default_rng(9)  # the same each time: light and background stay as they are
        yield picture(mesh, keypoints, view(number / FPS), SIZE_HW, chance, occluders=0).pixels
