"""Detectron2's Keypoint R-CNN said again in plain torch, slowly and with its names: what is published of it, no more.

Source: https://github.com/facebookresearch/detectron2, detectron2/modeling; batch norm is there as it is in its files.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.model.architecture import Architecture, ResNet


class NormedConv(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, padding=side // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, narrow: int, stride: int, body: ResNet) -> None:
        super().__init__()
        self.conv1 = NormedConv(inputs, narrow, 1, stride if body.stride_in_1x1 else 1)
        self.conv2 = NormedConv(narrow, narrow, 3, 1 if body.stride_in_1x1 else stride, body.groups)
        self.conv3 = NormedConv(narrow, outputs, 1)
        if inputs != outputs:
            self.shortcut = NormedConv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv3(self.conv2(self.conv1(x).relu()).relu())
        return (y + (self.shortcut(x) if hasattr(self, "shortcut") else x)).relu()


class BottomUp(nn.Module):
    def __init__(self, body: ResNet) -> None:
        super().__init__()
        self.stem = nn.Module()
        self.stem.conv1 = NormedConv(3, body.width, 7, 2)
        inputs, outputs, narrow = body.width, 4 * body.width, body.groups * body.width_per_group * body.width // 64
        for stage, count in enumerate(body.blocks, 2):
            blocks = []
            for index in range(count):
                stride = 2 if index == 0 and stage > 2 else 1
                blocks.append(Block(inputs, outputs, narrow, stride, body))
                inputs = outputs
            self.add_module(f"res{stage}", nn.Sequential(*blocks))
            outputs, narrow = outputs * 2, narrow * 2

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(self.stem.conv1(x).relu(), 3, 2, 1)
        stages = []
        for stage in (self.res2, self.res3, self.res4, self.res5):
            x = stage(x)
            stages.append(x)
        return stages


class Made(nn.Module):
    """A network of an architecture's widths. Give it eval()."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        assert isinstance(architecture.body, ResNet)
        wide, fc = architecture.channels, architecture.box_features
        self.backbone = nn.Module()
        self.backbone.bottom_up = BottomUp(architecture.body)
        for level in range(2, 6):
            self.backbone.add_module(f"fpn_lateral{level}", nn.Conv2d(architecture.body.width << level, wide, 1))
            self.backbone.add_module(f"fpn_output{level}", nn.Conv2d(wide, wide, 3, padding=1))
        self.proposal_generator = nn.Module()
        self.proposal_generator.rpn_head = nn.Module()
        rpn = self.proposal_generator.rpn_head
        rpn.conv, rpn.objectness_logits = nn.Conv2d(wide, wide, 3, padding=1), nn.Conv2d(wide, 3, 1)
        rpn.anchor_deltas = nn.Conv2d(wide, 12, 1)
        self.roi_heads = heads = nn.Module()
        heads.box_head, heads.box_predictor, heads.keypoint_head = nn.Module(), nn.Module(), nn.Module()
        heads.box_head.fc1, heads.box_head.fc2 = nn.Linear(wide * 49, fc), nn.Linear(fc, fc)
        heads.box_predictor.cls_score, heads.box_predictor.bbox_pred = nn.Linear(fc, 2), nn.Linear(fc, 4)
        for at, features in enumerate(architecture.keypoint_features, 1):
            heads.keypoint_head.add_module(f"conv_fcn{at}", nn.Conv2d(wide, features, 3, padding=1))
            wide = features
        heads.keypoint_head.score_lowres = nn.ConvTranspose2d(wide, 17, 4, stride=2, padding=1)
        self.keypoint_layers = len(architecture.keypoint_features)

    def features(self, images: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Levels p2 to p5, and of p2 to p6 objectness and deltas."""
        found = self.backbone.bottom_up(images)
        levels: list[Tensor] = []
        above = torch.zeros(())
        for level in (5, 4, 3, 2):
            x = self.backbone.get_submodule(f"fpn_lateral{level}")(found[level - 2]) + above
            levels.insert(0, self.backbone.get_submodule(f"fpn_output{level}")(x))
            above = functional.interpolate(x, scale_factor=2, mode="nearest")
        rpn = self.proposal_generator.rpn_head
        seen = [rpn.conv(x).relu() for x in [*levels, levels[-1][:, :, ::2, ::2]]]
        return levels, [rpn.objectness_logits(x) for x in seen], [rpn.anchor_deltas(x) for x in seen]

    def boxes(self, roi_features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2) logits, person first, and (N, 4) deltas."""
        head, predictor = self.roi_heads.box_head, self.roi_heads.box_predictor
        x = head.fc2(head.fc1(roi_features.flatten(1)).relu()).relu()
        return predictor.cls_score(x), predictor.bbox_pred(x)

    def keypoints(self, x: Tensor) -> Tensor:
        head = self.roi_heads.keypoint_head
        for at in range(1, self.keypoint_layers + 1):
            x = head.get_submodule(f"conv_fcn{at}")(x).relu()
        return functional.interpolate(head.score_lowres(x), scale_factor=2, mode="bilinear", align_corners=False)


def made(architecture: Architecture, seed: int = 0) -> Made:
    """A network whose every weight, and every mean and variance, a seed made."""
    torch.manual_seed(seed)
    network = Made(architecture)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.6, 1.2)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.01, 0.5)
    return network.eval().requires_grad_(False)


def published(state: dict[str, Tensor], path: Path, protocol: int = 2) -> Path:
    """Write a state dict as the model zoo's own script does: a dict that has kept its metadata, of numpy arrays."""
    arrays = OrderedDict(
        (name, tensor.numpy()) for name, tensor in state.items() if not name.endswith("num_batches_tracked")
    )
    arrays._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    with path.open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, file, protocol=protocol)
    return path


def pixels(mean_bgr: tuple[float, ...], std_bgr: tuple[float, ...]) -> dict[str, Tensor]:
    """What a checkpoint that says so says of its pixels."""
    return {
        "pixel_mean": torch.tensor(mean_bgr)[:, None, None],
        "pixel_std": torch.tensor(std_bgr)[:, None, None],
        "proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4),
    }


def bgr(frame: np.ndarray, std_bgr: tuple[float, ...]) -> Tensor:
    """(1, 3, H, W) what Detectron2's network gets of an RGB frame that is not scaled."""
    flipped = frame[:, :, ::-1].astype(np.float32)
    normal = (flipped - np.float32([103.530, 116.280, 123.675])) / np.float32(std_bgr)
    return torch.from_numpy(normal.transpose(2, 0, 1).copy())[None]
