from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from engines.model.architecture import LITE, R50, Architecture, ResNet
from engines.model.features import Features
from engines.model.keypoint_rcnn import FeaturesPart, KeypointRCNN

SMALL_R50 = replace(R50, body=ResNet((1, 1, 1, 1)), channels=16, box_features=8, keypoint_features=(8, 8))
ARCHITECTURES = pytest.mark.parametrize("architecture", [LITE, SMALL_R50], ids=["lite", "r50"])


def network(architecture: Architecture) -> KeypointRCNN:
    torch.manual_seed(0)
    return KeypointRCNN(architecture).eval().requires_grad_(False)


@ARCHITECTURES
def test_levels_have_the_strides_and_shapes_that_the_glue_counts_on(architecture: Architecture) -> None:
    seen = Features.of(FeaturesPart(network(architecture))(torch.randn(2, 3, 96, 64)), len(architecture.anchor_px))
    strides = [2 ** (architecture.level_first + at) for at in range(len(architecture.anchor_px) - 1)]
    assert [x.shape for x in seen.levels] == [(2, architecture.channels, 96 // s, 64 // s) for s in strides]
    assert [x.shape[2:] for x in seen.objectness] == [*(x.shape[2:] for x in seen.levels), (2, 1)]
    assert [x.shape[1] for x in seen.deltas] == [12] * len(architecture.anchor_px)


def test_a_halving_convolution_of_lite_looks_right_and_down_from_its_pixel() -> None:
    first = network(LITE).backbone.body.features[0][0]
    first.weight.zero_()
    first.weight[0, 1, 0, 0] = 1
    first.bias.zero_()
    x = torch.randn(1, 3, 8, 6)
    assert torch.equal(first(x)[:, 0], x[:, 1, ::2, ::2])
