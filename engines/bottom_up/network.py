"""The network: picture to heat maps, tags and part affinity fields at stride 4.

Sources: https://arxiv.org/abs/1611.05424 (associative embedding), https://arxiv.org/abs/1611.08050 (part affinity
fields). Letters: B pictures, K keypoints, L limbs, C channels.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from engines.bottom_up.finder import BottomUpFinder
from engines.bottom_up.tags import DIMENSIONS
from engines.model.architecture import Architecture
from engines.model.backbone import Backbone
from engines.model.network import Network
from engines.model.norm import Norm
from engines.model.parts import Parts, PartSpec, Rows
from engines.model.roi import Limits

_PICTURES_MAX: Final = 16
_RARE = 0.01
"""What a heat map says everywhere before it was trained."""


class BottomUp(Network):
    """All weights of a bottom-up network; those of its body and pyramid are under torchvision's names."""

    def __init__(self, architecture: Architecture, norm: Norm = nn.Identity) -> None:
        super().__init__()
        channels = architecture.channels
        self.architecture = architecture
        self.backbone = Backbone(architecture, norm)
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.heat = nn.Conv2d(channels, architecture.keypoints, 1)
        self.tags = nn.Conv2d(channels, DIMENSIONS * architecture.keypoints, 1)
        self.fields = nn.Conv2d(channels, 2 * len(architecture.limbs), 1)
        nn.init.constant_(self.heat.bias, math.log(_RARE / (1 - _RARE)))  # type: ignore[arg-type]

    def parts(self) -> dict[str, PartSpec]:
        """One part: the whole network."""
        return {
            "maps": PartSpec(
                MapsPart(self), (3, None, None), Rows(usual=1, most=_PICTURES_MAX), ("heat", "tags", "fields")
            )
        }

    def finder(
        self, parts: Parts, architecture: Architecture, limits: Limits, exact_peaks: bool = True
    ) -> BottomUpFinder:
        """What finds people with this network's part, as a backend runs it."""
        return BottomUpFinder(parts, architecture, limits)


class MapsPart(nn.Module):
    """(B, 3, H, W) to (B, K, H / 4, W / 4) logits, (B, 2K, …) tags and (B, 2L, …) fields, x and y of each."""

    def __init__(self, network: BottomUp) -> None:
        super().__init__()
        self.backbone, self.head = network.backbone, network.head
        self.heat, self.tags, self.fields = network.heat, network.tags, network.fields

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (finest,) = self.backbone(images)
        seen = self.head(torch.relu(finest))
        return self.heat(seen), self.tags(seen), self.fields(seen)
