"""Batch norm where a network is trained: torchvision's names, and none of it is left, nor missed, where it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.model.architecture import LITE, R50, Architecture, MobileNetV2, ResNet
from engines.model.backbone import Backbone, ResNetBody
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.norm import FrozenBatchNorm, Norm
from engines.weights.folding import fold_batch_norm

GOLDEN = Path(__file__).parents[2] / "golden"
TINY = replace(R50, body=ResNet((1, 2, 1, 1), width=8), channels=8, box_features=4, keypoint_features=(4,))
NORMS = pytest.mark.parametrize("norm", [nn.BatchNorm2d, FrozenBatchNorm])


def trained(architecture: Architecture, norm: Norm) -> Backbone:
    """A backbone whose batch norms have seen something; each does something of its own."""
    torch.manual_seed(0)
    network = Backbone(architecture, norm).eval().requires_grad_(False)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.01, 0.5)
        elif name.endswith("running_mean"):
            tensor.normal_(std=0.1)
        elif tensor.dim() == 1:
            tensor.uniform_(0, 0.3) if name.endswith("bias") else tensor.uniform_(0.6, 1.2)
    return network


def test_with_batch_norm_the_names_and_shapes_are_torchvision_s() -> None:
    with torch.device("meta"):
        state = KeypointRCNN(R50, nn.BatchNorm2d).state_dict()
    lines = (GOLDEN / "r50_shapes.txt").read_text().splitlines()
    assert {name: list(map(str, tensor.shape)) for name, tensor in state.items()} == {
        name: shape for name, *shape in map(str.split, lines)
    }


def test_lite_s_names_are_torchvision_s_too() -> None:
    """Those of the first blocks of mobilenet_v2 in torchvision's models/mobilenetv2.py."""
    with torch.device("meta"):
        state = KeypointRCNN(LITE, FrozenBatchNorm).state_dict()
    norms = {name.removesuffix(".running_var") for name in state if name.endswith(".running_var")}
    body = "backbone.body.features"
    assert {name for name in norms if name.startswith((f"{body}.0.", f"{body}.1.", f"{body}.2."))} == {
        *(f"{body}.0.1", f"{body}.1.conv.0.1", f"{body}.1.conv.2"),
        *(f"{body}.2.conv.0.1", f"{body}.2.conv.1.1", f"{body}.2.conv.3"),
    }
    assert len(norms) == 1 + 2 + 16 * 3


@NORMS
@pytest.mark.parametrize("architecture", [LITE, TINY], ids=lambda architecture: architecture.name)
def test_folded_into_the_convolutions_it_does_the_same(architecture: Architecture, norm: Norm) -> None:
    network, images = trained(architecture, norm), torch.randn(1, 3, 64, 96)
    bare = Backbone(architecture).eval().requires_grad_(False)
    bare.load_state_dict(fold_batch_norm(network.state_dict(), eps=1e-5))
    for got, wanted in zip(bare(images), network(images), strict=True):
        assert wanted.std() > 0.05  # all of it is alive
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()))


def test_a_bias_before_a_batch_norm_is_folded_too() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).eval()
    layers[1].running_mean.uniform_(-1, 1)
    x = torch.randn(1, 2, 4, 4)
    folded = fold_batch_norm(layers.state_dict(), eps=1e-5)
    assert sorted(folded) == ["0.bias", "0.weight"]
    torch.testing.assert_close(torch.conv2d(x, folded["0.weight"], folded["0.bias"]), layers(x))


def test_a_frozen_norm_computes_what_batch_norm_does_and_does_not_learn() -> None:
    frozen, norm = FrozenBatchNorm(3).train(), nn.BatchNorm2d(3).eval()
    state = {name: torch.rand(3) + 0.5 for name in ("weight", "bias", "running_mean", "running_var")}
    frozen.load_state_dict(state)
    norm.load_state_dict(state, strict=False)
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(frozen(x), norm(x))
    assert not list(frozen.parameters())
    assert torch.equal(frozen.running_mean, state["running_mean"])


@pytest.mark.parametrize("body", [ResNet((1, 1, 1, 1), width=8), ResNet((1, 1, 1, 1))])
def test_a_narrow_resnet_has_the_names_and_strides_of_a_wide_one(body: ResNet) -> None:
    narrow, wide = ResNetBody(body), ResNetBody(ResNet((1, 1, 1, 1)))
    assert narrow.state_dict().keys() == wide.state_dict().keys()
    taps: tuple[Tensor, ...] = narrow(torch.zeros(1, 3, 64, 96))
    assert [tap.shape[1:] for tap in taps] == [(body.width * 4 << at, 16 >> at, 24 >> at) for at in range(4)]


def test_a_network_without_norm_has_a_bias_instead() -> None:
    for body in (MobileNetV2(), TINY.body):
        bare, normed = (
            Backbone(replace(TINY, body=body), norm).state_dict() for norm in (nn.Identity, FrozenBatchNorm)
        )
        assert not any("running" in name for name in bare)
        assert bare.keys() == fold_batch_norm(normed, eps=1e-5).keys()
