"""What tells one network from another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from engines.ops.skeleton import COCO


@dataclass(frozen=True)
class MobileNetV2:
    """MobileNetV2 1.0 up to its block 17, tapped at strides 8, 16 and 32, or from stride 4 on.

    Source: https://arxiv.org/abs/1801.04381; stride-2 convolutions pad as TensorFlow's SAME does.
    """

    stride_first: Literal[4, 8] = 8


@dataclass(frozen=True)
class ResNet:
    """A bottleneck ResNet, tapped after each of its four layers.

    Source: https://arxiv.org/abs/1512.03385, with groups https://arxiv.org/abs/1611.05431.
    """

    blocks: tuple[int, int, int, int]
    """Bottlenecks of layer 1, 2, 3 and 4."""
    stride_in_1x1: bool = False
    """True: the first 1x1 convolution of a layer halves, as in the paper; False: its 3x3 one, as in torchvision."""
    groups: int = 1
    """The 3x3 convolutions look at so many groups of channels, each by itself."""
    width_per_group: int = 64
    """Channels of a group in layer 1; they double from layer to layer."""
    width: int = 64
    """Channels of the stem; layer 1 gives four times as many, and each later one doubles that."""


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
    """The finest feature level that proposes; level k has a cell every 2**k pixels."""
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
    keypoints: int
    """Of a person: one heat map each."""
    people_max: int
    """At most so many people a picture."""
    keypoint_levels: int = 0
    """So many finer levels, which do not propose, serve the keypoints of small people."""
    roi_aligned: bool = False
    """True: RoIAlign shifts by half a cell, as Detectron2's does."""
    anchors_exact: bool = False
    """True: anchors keep fractions of a pixel and level k has one each 2**k pixels, as in Detectron2.

    False: their sides are rounded and so is their distance, to what fits into the picture, as in torchvision.
    """
    limbs: tuple[tuple[int, int], ...] = ()
    """Pairs of keypoints that a bottom-up network knows as part affinity fields; empty: a Keypoint R-CNN.

    What is said of proposals, anchors and heads means nothing to a bottom-up network.
    """
    grouping: Literal["tags", "paf"] = "paf"
    """What a bottom-up network's people are made by: associative embedding, or part affinity fields."""


LITE: Final = Architecture(
    name="lite",
    body=MobileNetV2(),
    short_px=320,
    long_px=560,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    level_first=3,
    channels=64,
    anchor_px=(32, 64, 128, 256),
    proposals_level=300,
    proposals=100,
    box_features=256,
    keypoint_features=(128,) * 4,
    keypoints=17,
    people_max=30,
)
"""Small enough for two CPU cores."""

LITE_NEXT: Final = replace(
    LITE,
    name="lite-next",
    body=MobileNetV2(stride_first=4),
    keypoint_levels=1,
    keypoint_features=(160,) * 4,
)
"""What is to become `lite`: finer features for the keypoints of small people, and a wider keypoint head."""

BOTTOM_UP: Final = replace(
    LITE,
    name="bottom-up",
    body=MobileNetV2(stride_first=4),
    anchor_px=(),
    proposals_level=0,
    proposals=0,
    people_max=100,
    limbs=COCO.limbs,
)
"""`lite`'s body, its pyramid down to stride 4, and maps of keypoints, tags and limbs for the whole picture."""

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
    keypoints=17,
    people_max=100,
)
"""torchvision's keypointrcnn_resnet50_fpn."""

R50_D2: Final = replace(
    R50,
    name="r50-d2",
    body=ResNet(blocks=(3, 4, 6, 3), stride_in_1x1=True),
    mean=(123.675 / 255, 116.280 / 255, 103.530 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
    roi_aligned=True,
    anchors_exact=True,
)
"""Detectron2's keypoint_rcnn_R_50_FPN: it has r50's shapes, and yet other semantics.

The same as there: what becomes of the input's pixels (`engines.weights.detectron2` turns BGR to RGB), the network,
anchors, proposals, suppression, limits, and where a keypoint is in its heat map. Not the same, and not imitated:

- A frame is scaled there by Pillow, which smooths what it shrinks and rounds to whole grey levels and sides; here
  between pixel centres, unrounded, and sides are cut to whole pixels, so a side can be one pixel shorter.
- RoIAlign takes ceil(side of a bin) points along an axis there, 1 to 7 for most people; here always 2, for a GPU would
  have to be asked how many. On smoothed noise what the box head sees of a standing person is off by 10 % of what
  features vary, what the keypoint head sees by 3 %; it is exact where bins are one to two cells wide.
- A keypoint's score there is exp(logit) over the sum of the unstretched map; here see `engines.model.heatmap`.
- Boxes thinner than 1e-3 px (proposals) and 1e-2 px (people) are dropped here; there only empty proposals are.

Source: https://github.com/facebookresearch/detectron2, configs/COCO-Keypoints and detectron2/config/defaults.py.
"""

R101: Final = replace(R50_D2, name="r101", body=ResNet(blocks=(3, 4, 23, 3), stride_in_1x1=True))
"""Detectron2's keypoint_rcnn_R_101_FPN; see `R50_D2`."""

X101: Final = replace(
    R50_D2,
    name="x101",
    body=ResNet(blocks=(3, 4, 23, 3), groups=32, width_per_group=8),
    std=(58.395 / 255, 57.120 / 255, 57.375 / 255),
)
"""Detectron2's keypoint_rcnn_X_101_32x8d_FPN; see `R50_D2`."""

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    architecture.name: architecture for architecture in (LITE, LITE_NEXT, BOTTOM_UP, R50, R50_D2, R101, X101)
}
"""Name -> architecture."""
