"""From a picture to the pose of the object in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from configs.errors import EngineError
from engines.model import targets
from engines.pose6d import truck
from engines.pose6d.camera import F, in_camera, project
from engines.pose6d.crop import SIDE_PX, back, everywhere, square
from engines.pose6d.network import ARCHITECTURE, STRIDE, HourglassNet
from engines.pose6d.pose import Estimate, estimate
from engines.pose6d.refine import Shape
from engines.train import pictures
from engines.weights import state_dict
from engines.weights.zoo import ASSETS

BUNDLED: Final = ASSETS / "pose6d.safetensors"
NOISE_CELLS: Final = 0.4
"""Standard deviation of a sure keypoint along an axis, in cells of its heat map: see `engines.pose6d.evaluate`."""
_MARGIN: Final = 1.3
"""How many times as long as the object the square is that the network is shown."""
_WINDOW: Final = 2
"""Cells to each side of a keypoint that count as being there."""
_SURE: Final = 0.5
_SEEN_MIN: Final = 0.4
"""Of all keypoints so many must be sure, or the object is not there."""
_GREY: Final = (124, 116, 104)


class Keypoints(NamedTuple):
    """The keypoints of an object in a picture."""

    pixels: F
    """(K, 2)"""
    confidence: F
    """(K,) in 0..1: the share of the heat map's softmax that lies within two cells."""
    cell_px: float
    """Side of a cell of the heat maps, in pixels of the picture: what finer places are hardly known to."""


class Located(NamedTuple):
    """What a picture says of the object."""

    keypoints: Keypoints
    estimate: Estimate


class Locator:
    """Finds the truck; a CPU computes."""

    def __init__(self, weights: Path = BUNDLED) -> None:
        """Load the network.

        Raises:
            EngineError: the file cannot be read, or holds something else.
        """
        self._mesh, self._shape = truck.mesh(), Shape(truck.keypoints())
        self._network = load(weights)

    def locate(self, picture: NDArray[np.uint8], camera: F, last: Estimate | None = None) -> Located | None:
        """The object's keypoints and pose; None: it is nowhere.

        Args:
            picture: (H, W, 3) RGB.
            camera: (3, 3) intrinsics of the picture.
            last: what was found in the picture before: it is looked for there, and where it is not, everywhere.
        """
        found = None
        if last is not None and last.pose is not None:
            placed = in_camera(self._mesh.vertices, last.pose.rotation, last.pose.translation)
            found = self.at(picture, [square(project(camera, placed), _MARGIN)])[0]
        if found is None or not _is_there(found):
            found = self._anywhere(picture)
        return Located(found, self.pose(found, camera)) if found else None

    def at(self, picture: NDArray[np.uint8], squares: Sequence[F]) -> list[Keypoints]:
        """The keypoints in squares of a picture, each a (2, 3) affine map to the network's input."""
        crops = np.stack([pictures.warped(picture, each, (SIDE_PX, SIDE_PX), _GREY) for each in squares])
        with torch.inference_mode():
            maps = self._network(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)[-1].float()
            xy = (targets.parabola(maps) + 0.5) * STRIDE
            sure = _confidence(maps)
        return [
            Keypoints(back(each, where), confidence, STRIDE / float(np.linalg.norm(each[:, 0])))
            for each, where, confidence in zip(squares, xy.double().numpy(), sure.double().numpy(), strict=True)
        ]

    def pose(self, found: Keypoints, camera: F, noise_cells: float = NOISE_CELLS) -> Estimate:
        """The pose that the keypoints say."""
        return estimate(self._shape, camera, found.pixels, found.confidence, noise_cells * found.cell_px)

    def _anywhere(self, picture: NDArray[np.uint8]) -> Keypoints | None:
        """The keypoints in the square that shows them best, and then in one that just holds the object."""
        height, width = picture.shape[:2]
        found = max(self.at(picture, everywhere((height, width))), key=lambda each: float(each.confidence.sum()))
        for _ in range(2):
            sure = found.confidence >= _SURE
            if sure.sum() < 2:
                return None
            found = self.at(picture, [square(found.pixels[sure], _MARGIN)])[0]
        return found if _is_there(found) else None


def load(weights: Path) -> HourglassNet:
    """The network with the weights of a file.

    Raises:
        EngineError: the file cannot be read, or holds something else.
    """
    network = HourglassNet(len(truck.KEYPOINTS))
    got = {name: each.float() for name, each in state_dict.read(weights).items()}
    wanted = {name: each for name, each in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    if wanted.keys() != got.keys() or any(each.shape != got[name].shape for name, each in wanted.items()):
        raise EngineError(
            f"weights file {weights} is not of {ARCHITECTURE}; make one by python -m engines.pose6d.train"
        )
    network.load_state_dict(got, strict=False)
    return network.eval()


def _confidence(maps: Tensor) -> Tensor:
    """(B, K) share of the softmax of maps (B, K, h, w) within two cells of the highest one."""
    shares = maps.flatten(2).softmax(2)
    side = 2 * _WINDOW + 1
    around = nn.functional.avg_pool2d(shares.view(maps.shape), side, 1, _WINDOW) * side**2
    return around.flatten(2).gather(2, shares.argmax(2, keepdim=True))[..., 0].clamp(0, 1)


def _is_there(found: Keypoints) -> bool:
    return float((found.confidence >= _SURE).mean()) >= _SEEN_MIN
