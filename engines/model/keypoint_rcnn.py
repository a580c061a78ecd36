"""Keypoint R-CNN: its weights under torchvision's names, and the three parts that a backend runs.

Source: https://arxiv.org/abs/1703.06870. Letters: B pictures, P proposals, N people, C channels, K keypoints.
"""

from __future__ import annotations

import copy
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from engines.model.architecture import Architecture
from engines.model.backbone import Backbone, halved
from engines.model.features import RATIOS
from engines.model.inference import BOX_CELLS, KEYPOINT_CELLS, ProposalFinder
from engines.model.network import Network
from engines.model.norm import Norm
from engines.model.parts import Parts, PartSpec, Rows
from engines.model.roi import Limits

_PICTURES_MAX: Final = 16
"""Pictures in one call."""
_PEOPLE: Final = Rows(usual=8, most=64)
"""A person's maps take 2 MB: those of all people of 16 pictures would take 3 GB."""


class KeypointRCNN(Network):
    """All weights of one network, under torchvision's names.

    Args:
        architecture: its shape.
        norm: what follows the body's convolutions: by default nothing, for batch norm is folded away before a network
            runs; to train, `nn.BatchNorm2d` or `engines.model.norm.FrozenBatchNorm`.
    """

    def __init__(self, architecture: Architecture, norm: Norm = nn.Identity) -> None:
        super().__init__()
        self.backbone = Backbone(architecture, norm)
        self.rpn = _Proposals(architecture.channels)
        self.roi_heads = _Heads(architecture)
        self.architecture = architecture

    def parts(self) -> dict[str, PartSpec]:
        """The parts that a backend compiles, by name; they share this network's weights."""
        channels, proposals = self.architecture.channels, self.architecture.proposals
        levels = range(len(self.architecture.anchor_px))
        kinds = {
            "levels": range(len(levels) - 1 + self.architecture.keypoint_levels),
            "objectness": levels,
            "deltas": levels,
        }
        box_head = BoxHeadPart(self)
        return {
            "features": PartSpec(
                FeaturesPart(self),
                (3, None, None),
                Rows(usual=1, most=_PICTURES_MAX),
                tuple(f"{kind} {at}" for kind, some in kinds.items() for at in some),
                channels_last_results=True,
            ),
            "box_head": PartSpec(
                box_head,
                (channels, BOX_CELLS, BOX_CELLS),
                Rows(usual=proposals, most=_PICTURES_MAX * proposals),
                ("class logits", "box deltas"),
                channels_last=box_head.channels_last,
            ),
            "keypoint_head": PartSpec(
                KeypointHeadPart(self), (channels, KEYPOINT_CELLS, KEYPOINT_CELLS), _PEOPLE, ("heat maps",)
            ),
        }

    def finder(
        self, parts: Parts, architecture: Architecture, limits: Limits, exact_peaks: bool = True
    ) -> ProposalFinder:
        """What finds people with this network's parts, as a backend runs them; see `ProposalFinder`."""
        return ProposalFinder(parts, architecture, limits, exact_peaks)


class FeaturesPart(nn.Module):
    """(B, 3, H, W) pictures to the tensors of `Features`, flat; H and W multiples of 32."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.head = model.rpn.head
        self._first = model.architecture.keypoint_levels

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels = self.backbone(images)
        seen = [functional.relu(self.head.conv(level)) for level in (*levels[self._first :], halved(levels[-1]))]
        return (*levels, *(self.head.cls_logits(x) for x in seen), *(self.head.bbox_pred(x) for x in seen))


class BoxHeadPart(nn.Module):
    """(P, C, 7, 7) RoI features to (P, 2) class logits, background first, and (P, 8) box deltas."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.head = model.roi_heads.box_head
        self.predictor = model.roi_heads.box_predictor

    def forward(self, roi_features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.head.fc7(self.head.fc6(roi_features.flatten(1)))
        return self.predictor.cls_score(x), self.predictor.bbox_pred(x)

    def channels_last(self) -> BoxHeadPart:
        """A copy for (P, 7, 7, C): its first layer is permuted, once, instead of all RoI features."""
        part = copy.deepcopy(self)
        first = part.head.fc6
        permuted = first.weight.detach().unflatten(1, (-1, BOX_CELLS, BOX_CELLS)).permute(0, 2, 3, 1).flatten(1)
        first.weight = nn.Parameter(permuted)
        return part


class KeypointHeadPart(nn.Module):
    """(N, C, 14, 14) RoI features to (N, K, 56, 56) heat-map logits."""

    def __init__(self, model: KeypointRCNN) -> None:
        super().__init__()
        self.head = model.roi_heads.keypoint_head
        self.predictor = model.roi_heads.keypoint_predictor

    def forward(self, roi_features: Tensor) -> tuple[Tensor]:
        maps = self.predictor.kps_score_lowres(self.head(roi_features))
        return (functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False),)


class LinearReLU(nn.Linear):
    """A linear layer and the ReLU after it."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(super().forward(x))


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
        self.keypoint_predictor = _KeypointPredictor(at, architecture.keypoints)


class _BoxHead(nn.Module):
    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.fc6 = LinearReLU(inputs, features)
        self.fc7 = LinearReLU(features, features)


class _BoxPredictor(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(features, 2)
        self.bbox_pred = nn.Linear(features, 8)


class _KeypointPredictor(nn.Module):
    def __init__(self, features: int, keypoints: int) -> None:
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(features, keypoints, 4, stride=2, padding=1)
