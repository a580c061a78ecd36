"""What the network is trained on: crops of the rendered object, with the labels of its keypoints."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.pose6d import truck
from engines.pose6d.camera import F, cropped, in_camera, project
from engines.pose6d.crop import SIDE_PX, turned_square
from engines.pose6d.views import View, Views, any_view, picture
from engines.train.augment import Augmentation, augmented
from engines.train.target import Sample, Target

_MARGIN = (1.05, 2.2)
"""How many times as long as the object's box a crop is."""
_OFF = 0.1
"""A crop's middle is off by at most this share of the box, along each axis."""
_TURN_DEG = 30.0
_LOOKS = Augmentation(mirror_share=0, brightness=0.1, contrast=0.25, saturation=0.3, hue=0.02, blur_px=1.5, noise=8.0)


def crops(how: Views) -> Callable[[np.random.Generator], Sample]:
    """Draws crops (256, 256, 3) of any view of the truck: scaled, shifted and turned by the camera, so without loss."""
    mesh, keypoints = truck.mesh(), truck.keypoints()
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    unmirrored = range(len(keypoints))

    def draw(rng: np.random.Generator) -> Sample:
        view = any_view(how, middle, rng)
        seen = view._replace(camera=cropped(view.camera, _any_square(view, mesh.vertices, rng)))
        made = picture(mesh, keypoints, seen, (SIDE_PX, SIDE_PX), rng, how.occluders)
        return augmented(Sample(made.pixels, labels(made.keypoints, made.visible)), _LOOKS, unmirrored, rng)

    return draw


def labels(keypoints: F, visible: NDArray[np.bool_]) -> Target:
    """The labels of one object, keypoints (K, 2) of the network's input; those that are hidden count as well."""
    inside = (keypoints.min(1) >= 0) & (keypoints.max(1) < SIDE_PX)
    box = np.concatenate((keypoints.min(0), keypoints.max(0)))[None]
    return Target(
        (SIDE_PX, SIDE_PX),
        boxes=box.astype(np.float32),
        keypoints=keypoints[None].astype(np.float32),
        visibility=np.where(inside, 1 + visible, 0)[None].astype(np.int8),
        weights=inside[None].astype(np.float32),
        areas_px2=(box[:, 2:] - box[:, :2]).prod(1).astype(np.float32),
        crowd=np.zeros(1, bool),
        ids=np.ones(1, np.int64),
    )


def _any_square(view: View, vertices: F, rng: np.random.Generator) -> F:
    pixels = project(view.camera, in_camera(vertices, view.rotation, view.translation))
    low, high = pixels.min(0), pixels.max(0)
    side = float((high - low).max())
    middle = (low + high) / 2 + rng.uniform(-_OFF, _OFF, 2) * side
    margin = float(np.exp(rng.uniform(*np.log(_MARGIN))))
    return turned_square(middle, margin * side, np.radians(rng.uniform(-_TURN_DEG, _TURN_DEG)))
