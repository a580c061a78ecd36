"""What tells one Keypoint R-CNN from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class MobileNetV2:
    """MobileNetV2 1.0 up to its block 17, tapped at strides 8, 16 and 32.

    Source: https://arxiv.org/abs/1801.04381; stride-2 convolutions pad as TensorFlow's SAME does.
    """


@dataclass(frozen=True)
class ResNet:
    """A bottleneck ResNet, tapped after each of its four layers.

    Source: https://arxiv.org/abs/1512.03385; the stride lies in the 3x3 convolution, as in torchvision.
    """

    blocks: tuple[int, int, int, int]
    """Bottlenecks of layer 1, 2, 3 and 4."""


@dataclass(frozen=True)
class Architecture:
    """A network's shape, and the limits it was made to run with. Pixels are those of the network's input."""

    name: str
    body: MobileNetV2 | ResNet
    short_px: int
    """A picture is scaled so that its short side has this length..."""
    long_px: int
    """...unless its long side would pass this one."""
    mean: tuple[float, float, float]
    """RGB, of pictures in 0..1."""
    std: tuple[float, float, float]
    level_first: int
    """The finest feature level; level k has a cell every 2**k pixels."""
    channels: int
    """Of each feature level."""
    anchor_px: tuple[int, ...]
    """Size of the anchors, one a level; the last level is the one before, halved, and only proposes."""
    proposals_level: int
    """Candidates a level before suppression."""
    proposals: int
    """Proposals a picture after it."""
    box_features: int
    """Width of the box head's two layers."""
    keypoint_features: tuple[int, ...]
    """Width of each of the keypoint head's convolutions."""
    people_max: int
    """At most so many people a picture."""
    roi_aligned: bool = False
    """True: RoIAlign shifts by half a cell, as Detectron2's does."""

    @property
    def roi_levels(self) -> int:
        """How many feature levels people are cut out of."""
        return len(self.anchor_px) - 1


LITE: Final = Architecture(
    name="lite",
    body=MobileNetV2(),
    short_px=320,
    long_px=560,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    level_first=3,
    channels=96,
    anchor_px=(32, 64, 128, 256),
    proposals_level=300,
    proposals=100,
    box_features=256,
    keypoint_features=(128,) * 4,
    people_max=30,
)
"""Small enough for two CPU cores."""

R50: Final = Architecture(
    name="r50",
    body=ResNet(blocks=(3, 4, 6, 3)),
    short_px=800,
    long_px=1333,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    level_first=2,
    channels=256,
    anchor_px=(32, 64, 128, 256, 512),
    proposals_level=1000,
    proposals=1000,
    box_features=1024,
    keypoint_features=(512,) * 8,
    people_max=100,
)
"""torchvision's keypointrcnn_resnet50_fpn."""
