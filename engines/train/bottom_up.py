"""What a bottom-up network costs on labelled pictures. Letters: B pictures, N people, K keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.bottom_up import losses, targets
from engines.bottom_up.finder import STRIDE
from engines.bottom_up.network import BottomUp
from engines.bottom_up.tags import tags_at
from engines.model import targets as heat_maps
from engines.train.loop import Trainable
from engines.train.target import Target

_SIGMA_CELLS, _HALF_WIDTH_CELLS = 1.2, 1.0
"""Least deviation of a keypoint's Gaussian, and least half width of a limb..."""
_OF_EXTENT = 0.03
"""...and both as a share of the person's extent: what OKS forgives grows with the person, too."""
_SCALES = {"heat": 10.0, "pull": 1.0, "push": 1.0, "fields": 5.0}
"""Brings the losses to like sizes, so that 1 is a weight to begin with."""


class TrainedBottomUp(Trainable):
    """Losses of a bottom-up network by task: heat, pull, push, fields."""

    _mean: Tensor
    _std: Tensor

    def __init__(self, network: BottomUp) -> None:
        """Share the network's weights."""
        super().__init__()
        self.network = network
        architecture = network.architecture
        self._part = network.parts()["maps"].module
        self.register_buffer("_mean", torch.tensor(architecture.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(architecture.std).view(3, 1, 1), persistent=False)

    def losses(self, images: Tensor, labels: Sequence[Target]) -> dict[str, Tensor]:
        """Losses by task; see `Trainable`. Losses are fp32 whatever the network computes in."""
        heat, tags, fields = self._maps(images)
        each = [self._of_one(heat[at], tags[at], fields[at], label) for at, label in enumerate(labels)]
        return {name: _SCALES[name] * torch.stack([one[name] for one in each]).mean() for name in each[0]}

    @torch.no_grad()
    def keypoints_at(self, images: Tensor, boxes: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """(N, K, 2) keypoints, in pixels, that are the highest of the heat maps within boxes (N, 4) of each picture."""
        heat, _, _ = self._maps(images)
        return [np.stack([_highest(maps, box) for box in some]) for maps, some in zip(heat, boxes, strict=True)]

    def _maps(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        images = ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        heat, tags, fields = (part.float() for part in self._part(images))
        return heat, tags, fields

    def _of_one(self, heat: Tensor, tags: Tensor, fields: Tensor, label: Target) -> dict[str, Tensor]:
        hw = heat.shape[1], heat.shape[2]
        people, device = label.take(~label.crowd), heat.device
        xy = torch.from_numpy(people.keypoints).to(device) / STRIDE - 0.5
        labelled = torch.from_numpy(people.visibility > 0).to(device)
        crowds = label.take(label.crowd | (label.labelled == 0)).boxes
        mask = targets.unmasked(torch.from_numpy(crowds).to(device) / STRIDE, hw)
        limbs = self.network.architecture.limbs
        wide = _OF_EXTENT * targets.extents(xy, labelled)
        sigmas, half_widths = wide.clamp(min=_SIGMA_CELLS), wide.clamp(min=_HALF_WIDTH_CELLS)
        wanted, there = targets.fields(xy, labelled, limbs, hw, half_widths)
        pull, push = losses.tags(_tags_at(tags, xy), labelled)
        return {
            "heat": losses.heat(heat, targets.heat(xy, labelled, hw, sigmas), mask, len(people)),
            "pull": pull,
            "push": push,
            "fields": losses.fields(fields.view(len(limbs), 2, *hw), wanted, there, mask),
        }


def _tags_at(maps: Tensor, xy: Tensor) -> Tensor:
    """(N, K, 2) tags of keypoints (N, K, 2), each from its own map, in the cell where it lies."""
    h, w = maps.shape[1:]
    cells = xy.round().long()
    cells = torch.stack((cells[..., 0].clamp(0, w - 1), cells[..., 1].clamp(0, h - 1)), -1)
    kind = torch.arange(xy.shape[1], device=maps.device).expand(cells.shape[:2])
    return tags_at(maps, kind, cells)


def _highest(maps: Tensor, box: NDArray[np.float32]) -> NDArray[np.float32]:
    h, w = maps.shape[1:]
    x1, y1 = (max(0, min(int(at / STRIDE), size - 1)) for at, size in zip(box[:2], (w, h), strict=True))
    x2, y2 = (max(low + 1, int(at / STRIDE) + 1) for at, low in zip(box[2:], (x1, y1), strict=True))
    inside = maps[None, :, y1:y2, x1:x2].sigmoid()
    cells = heat_maps.quarter(inside)[0] + torch.tensor((x1, y1), device=maps.device)
    found: NDArray[np.float32] = ((cells + 0.5) * STRIDE).cpu().numpy()
    return found
