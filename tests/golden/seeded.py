"""Weights and pictures that a seed makes, the same on every machine and in every version of torch."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np


def weights(shapes: Mapping[str, Sequence[int]], seed: int, growth: float = 0.0) -> dict[str, np.ndarray]:
    """Random weights of a torchvision Keypoint R-CNN, shaped so that detections survive every threshold.

    He-scaled convolutions keep the activations' size; batch norms are near identity; class logits are spread so
    that scores cover 0..1; box deltas are small, so that boxes stay where the anchors are. The box head makes the
    sides of people's boxes e**growth times as long as it would.
    """
    made = {name: _tensor(name, tuple(shape), seed) for name, shape in shapes.items()}
    made["roi_heads.box_predictor.bbox_pred.bias"][6:] += 5 * growth  # the sides of people, who are class 1
    return made


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """A (height, width, 3) uint8 picture of soft blobs, edges and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.zeros((height, width, 3))
    for _ in range(12):
        colour, (cy, cx), size = rng.uniform(0, 255, 3), rng.uniform(0, 1, 2), rng.uniform(0.03, 0.3)
        inside = (np.abs(y - cy) < size) & (np.abs(x - cx) < size * rng.uniform(0.3, 1))
        picture += inside[..., None] * (colour - picture) * rng.uniform(0.3, 1)
    return np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)


def _tensor(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = rng.standard_normal(shape)
    if name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif name.endswith("running_mean"):
        values = 0.05 * values
    elif _is_norm(name) and name.endswith("weight"):
        values = (0.25 if ".bn3." in name else 1.0) * (1 + 0.1 * values)
    elif name.endswith("bias"):
        values = 0.05 * values
    else:
        fan_in = shape[0] * 4 if "kps_score_lowres" in name else int(np.prod(shape[1:]))
        values = values * _gain(name) / np.sqrt(fan_in)
    return np.asarray(values, np.float32)


def _is_norm(name: str) -> bool:
    return ".bn" in name or ".downsample.1." in name


def _gain(name: str) -> float:
    for part, gain in (
        ("bbox_pred", 0.05),
        ("cls_logits", 1.0),
        ("cls_score", 1.0),
        ("fpn", 1.0),
        ("kps_score", 2.0),
    ):
        if part in name:
            return gain
    return float(np.sqrt(2))
