"""Keypoint R-CNN: its weights under torchvision's names, and the three parts that a backend runs.

Source: https://arxiv.org/abs/1703.06870. Letters: B pictures, N boxes, C channels, K = 17 keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from engines.model.architecture import Architecture
from engines.model.backbone import Backbone, halved

K = 17
BOX_CELLS = 7
"""Side of what the box head sees of a box."""
KEYPOINT_CELLS = 14
"""Side of what the keypoint head sees of a person."""
RATIOS = (0.5, 1.0, 2.0)
"""Height to width of the anchors of a cell."""


class Features(NamedTuple):
    """What the network sees in B pictures, finest level first."""

    levels: tuple[Tensor, ...]
    """(B, C, h, w) each: those that boxes are cut out of."""
    objectness: tuple[Tensor, ...]
    """(B, 3, h, w) each: the logit that an anchor holds something; one level more than `levels`."""
    deltas: tuple[Tensor, ...]
    """(B, 12, h, w) each: how each anchor is to be moved, four numbers an anchor."""

    @staticmethod
    def of(flat: Sequence[Tensor]) -> Features:
        """Nest what a backend gives as one list: L levels, L + 1 objectness, L + 1 deltas."""
        levels = (len(flat) - 2) // 3
        return Features(tuple(flat[:levels]), tuple(flat[levels : 2 * levels + 1]), tuple(flat[2 * levels + 1 :]))


class KeypointRCNN(nn.Module):
    """All weights of one network, under torchvision's names with batch norm folded away."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.backbone = Backbone(architecture)
        self.rpn = _Proposals(architecture.channels)
        self.roi_heads = _Heads(architecture)


class FeaturesPart(nn.Module):
    """(B, 3, H, W) pictures to `Features`; H and W multiples of 32."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.head = model.rpn.head

    def forward(self, images: Tensor) -> Features:
        levels = self.backbone(images)
        seen = [functional.relu(self.head.conv(level)) for level in (*levels, halved(levels[-1]))]
        return Features(
            levels, tuple(self.head.cls_logits(x) for x in seen), tuple(self.head.bbox_pred(x) for x in seen)
        )


class BoxHeadPart(nn.Module):
    """(N, C, 7, 7) cut-outs to (N, 2) class logits, background first, and (N, 8) box deltas."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.head = model.roi_heads.box_head
        self.predictor = model.roi_heads.box_predictor

    def forward(self, cut_outs: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.relu(self.head.fc6(cut_outs.flatten(1)))
        x = functional.relu(self.head.fc7(x))
        return self.predictor.cls_score(x), self.predictor.bbox_pred(x)


class KeypointHeadPart(nn.Module):
    """(N, C, 14, 14) cut-outs to (N, 17, 56, 56) heat-map logits."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.head = model.roi_heads.keypoint_head
        self.predictor = model.roi_heads.keypoint_predictor

    def forward(self, cut_outs: Tensor) -> Tensor:
        maps = self.predictor.kps_score_lowres(self.head(cut_outs))
        return functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


class _Proposals(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = _ProposalHead(channels)


class _ProposalHead(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)))
        self.cls_logits = nn.Conv2d(channels, len(RATIOS), 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * len(RATIOS), 1)


class _Heads(nn.Module):
    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.box_head = _BoxHead(architecture.channels * BOX_CELLS**2, architecture.box_features)
        self.box_predictor = _BoxPredictor(architecture.box_features)
        layers: list[nn.Module] = []
        at = architecture.channels
        for features in architecture.keypoint_features:
            layers += [nn.Conv2d(at, features, 3, padding=1), nn.ReLU(inplace=True)]
            at = features
        self.keypoint_head = nn.Sequential(*layers)
        self.keypoint_predictor = _KeypointPredictor(at)


class _BoxHead(nn.Module):
    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(inputs, features)
        self.fc7 = nn.Linear(features, features)


class _BoxPredictor(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(features, 2)
        self.bbox_pred = nn.Linear(features, 8)


class _KeypointPredictor(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(features, K, 4, stride=2, padding=1)
