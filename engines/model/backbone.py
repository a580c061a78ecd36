"""Picture to feature levels: a body and the pyramid on top of it.

Module names are torchvision's: they are the names in published weights. A network that only runs has no batch norm:
`engines.weights.folding` folds it into the convolutions.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.model.architecture import Architecture, MobileNetV2, ResNet
from engines.model.norm import Norm


class Backbone(nn.Module):
    """(B, 3, H, W) to the feature levels that heads look at, finest first; H and W multiples of 32."""

    def __init__(self, architecture: Architecture, norm: Norm = nn.Identity) -> None:
        super().__init__()
        self.body = _body(architecture.body, norm)
        levels = 1 if architecture.limbs else len(self.body.channels)
        self.fpn = FeaturePyramid(self.body.channels, architecture.channels, levels)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        levels: tuple[Tensor, ...] = self.fpn(self.body(images))
        return levels


class FeaturePyramid(nn.Module):
    """Feature pyramid: every tap of the body, with the coarser ones added. Source: https://arxiv.org/abs/1612.03144."""

    def __init__(self, taps: tuple[int, ...], channels: int, levels: int) -> None:
        """The `levels` finest ones are given."""
        super().__init__()
        self.inner_blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(tap, channels, 1)) for tap in taps)
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1)) for _ in range(levels)
        )

    def forward(self, taps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        inner = [block(tap) for block, tap in zip(self.inner_blocks, taps, strict=True)]
        for at in range(len(inner) - 2, -1, -1):
            inner[at] = inner[at] + functional.interpolate(inner[at + 1], scale_factor=2.0, mode="nearest")
        return tuple(block(x) for block, x in zip(self.layer_blocks, inner, strict=False))


class MobileNetBody(nn.Module):
    """MobileNetV2's blocks 0 to 17."""

    def __init__(self, body: MobileNetV2, norm: Norm = nn.Identity) -> None:
        super().__init__()
        first = 0 if body.stride_first == 4 else 1
        self.channels, self._taps = (24, 32, 96, 320)[first:], (3, 6, 13, 17)[first:]
        # Widening, channels, blocks, stride: table 2 of the paper.
        rows = (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        )
        blocks: list[nn.Module] = [nn.Sequential(_Conv3x3(3, 32, 2, norm), norm(32), nn.ReLU6(inplace=True))]
        at = 32
        for widening, channels, count, stride in rows:
            for index in range(count):
                blocks.append(InvertedResidual(at, channels, stride if index == 0 else 1, widening, norm))
                at = channels
        self.features = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        taps = []
        for index, block in enumerate(self.features):
            x = block(x)
            if index in self._taps:
                taps.append(x)
        return tuple(taps)


class InvertedResidual(nn.Module):
    """Widen, look around in each channel by itself, narrow again."""

    def __init__(self, inputs: int, outputs: int, stride: int, widening: int, norm: Norm = nn.Identity) -> None:
        super().__init__()
        wide = inputs * widening
        layers: list[nn.Module] = []
        if widening != 1:
            layers.append(nn.Sequential(_conv(inputs, wide, 1, norm), norm(wide), nn.ReLU6(inplace=True)))
        layers.append(
            nn.Sequential(_Conv3x3(wide, wide, stride, norm, groups=wide), norm(wide), nn.ReLU6(inplace=True))
        )
        layers += [_conv(wide, outputs, 1, norm), norm(outputs)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


class _Conv3x3(nn.Conv2d):
    """With stride 2 it pads right and bottom only: for even sides that is TensorFlow's SAME."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=2 - stride, groups=groups, bias=norm is nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)) if self.stride == (2, 2) else x)


class ResNetBody(nn.Module):
    """A bottleneck ResNet without its classifier."""

    def __init__(self, body: ResNet, norm: Norm = nn.Identity) -> None:
        super().__init__()
        self.channels = tuple(4 * body.width << at for at in range(4))
        self.conv1 = _conv(3, body.width, 7, norm, stride=2)
        self.bn1 = norm(body.width)
        layers = [
            _layer(inputs, outputs, count, 1 if inputs == body.width else 2, body, norm)
            for (inputs, outputs), count in zip(pairwise((body.width, *self.channels)), body.blocks, strict=True)
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = layers

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x)), inplace=True), 3, stride=2, padding=1)
        taps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            taps.append(x)
        return tuple(taps)


class Bottleneck(nn.Module):
    """Narrow, look around, widen; added to what came in."""

    def __init__(self, inputs: int, outputs: int, stride: int, body: ResNet, norm: Norm = nn.Identity) -> None:
        super().__init__()
        # Of layer 1's 256 channels; its 3x3 convolutions see all groups of it side by side.
        narrow = body.groups * body.width_per_group * outputs // 256
        first, second = (stride, 1) if body.stride_in_1x1 else (1, stride)
        self.conv1 = _conv(inputs, narrow, 1, norm, stride=first)
        self.bn1 = norm(narrow)
        self.conv2 = _conv(narrow, narrow, 3, norm, stride=second, groups=body.groups)
        self.bn2 = norm(narrow)
        self.conv3 = _conv(narrow, outputs, 1, norm)
        self.bn3 = norm(outputs)
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, norm, stride=stride), norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        y = functional.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


def _layer(inputs: int, outputs: int, blocks: int, stride: int, body: ResNet, norm: Norm) -> nn.Sequential:
    rest = (Bottleneck(outputs, outputs, 1, body, norm) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, outputs, stride, body, norm), *rest)


def _body(body: MobileNetV2 | ResNet, norm: Norm) -> MobileNetBody | ResNetBody:
    match body:
        case MobileNetV2():
            return MobileNetBody(body, norm)
        case ResNet():
            return ResNetBody(body, norm)


def _conv(inputs: int, outputs: int, side: int, norm: Norm, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=norm is nn.Identity)


def halved(level: Tensor) -> Tensor:
    """(B, C, ceil(h / 2), ceil(w / 2)) every second cell of a level, from the first on."""
    return torch.nn.functional.max_pool2d(level, kernel_size=1, stride=2)
