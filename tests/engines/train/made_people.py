"""Labelled people made up by a seed, and pictures that show where they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.ops import skeleton
from engines.train.target import Sample, Target

MIRROR = skeleton.COCO.mirror

K = len(MIRROR)


def people(seed: int, count: int = 4, size_hw: tuple[int, int] = (120, 200)) -> Target:
    rng = np.random.default_rng(seed)
    height, width = size_hw
    corners = rng.uniform((0, 0, 0, 0), (width, height, width, height), (count, 4)).reshape(count, 2, 2)
    boxes = np.concatenate((corners.min(1), corners.max(1) + 4), 1)
    share = rng.uniform(0, 1, (count, K, 2))
    visibility = rng.integers(0, 3, (count, K)).astype(np.int8)
    return Target(
        size_hw,
        boxes=boxes.astype(np.float32),
        keypoints=(boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]).astype(np.float32),
        visibility=visibility,
        weights=np.where(visibility > 0, rng.uniform(0.1, 1, (count, K)), 0).astype(np.float32),
        areas_px2=(0.5 * (boxes[:, 2:] - boxes[:, :2]).prod(1)).astype(np.float32),
        crowd=rng.uniform(size=count) < 0.2,
        ids=np.arange(count, dtype=np.int64) + 10,
    )


def spots(target: Target) -> Sample:
    """Grey pictures with a white spot of 7 x 7 pixels where each labelled keypoint is."""
    height, width = target.size_hw
    pixels = np.full((height, width, 3), 60, np.uint8)
    for x, y in target.keypoints[target.visibility > 0]:
        pixels[max(0, int(y) - 3) : int(y) + 4, max(0, int(x) - 3) : int(x) + 4] = 255
    return Sample(pixels, target)


def one_spot(x: int, y: int, size_hw: tuple[int, int]) -> Sample:
    """One person whose only labelled keypoint, the nose, is the middle of a white spot."""
    person = people(0, 1, size_hw)
    visibility = np.zeros_like(person.visibility)
    visibility[0, 0] = 2
    keypoints = person.keypoints.copy()
    keypoints[0, 0] = x + 0.5, y + 0.5
    target = replace(
        person,
        boxes=np.array([[x - 12, y - 20, x + 12, y + 20]], np.float32),
        keypoints=keypoints,
        visibility=visibility,
        weights=visibility.astype(np.float32) / 2,
        crowd=np.zeros(1, bool),
    )
    return spots(target)


def centre_of_light(pixels: np.ndarray) -> tuple[float, float]:
    """x, y of what is brighter than the ground."""
    light = np.maximum(pixels.astype(float).mean(2) - 130, 0)
    ys, xs = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return float((light * xs).sum() / light.sum()), float((light * ys).sum() / light.sum())
