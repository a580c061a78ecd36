"""Detections made up by a seed beside labels made up by a seed: near ones, copies, misses and inventions."""

from __future__ import annotations

import numpy as np

from engines.ops.people import People
from engines.train.target import Target

SIZE = (400, 600)

K = 17


def labelled(rng: np.random.Generator, count: int) -> Target:
    """People of all sizes, some a crowd, some without keypoints."""
    sides = np.exp(rng.uniform(np.log(8), np.log(250), (count, 2)))
    corners = rng.uniform(0, 1, (count, 2)) * np.maximum(np.array(SIZE[::-1]) - sides, 1)
    boxes = np.concatenate((corners, corners + sides), 1).astype(np.float32)
    visibility = rng.integers(0, 3, (count, K)).astype(np.int8)
    visibility[rng.random(count) < 0.2] = 0
    keypoints = boxes[:, None, :2] + rng.random((count, K, 2)) * sides[:, None]
    return Target(
        SIZE,
        boxes=boxes,
        keypoints=keypoints.astype(np.float32),
        visibility=visibility,
        weights=(visibility > 0).astype(np.float32),
        areas_px2=(sides.prod(1) * rng.uniform(0.3, 0.9, count)).astype(np.float32),
        crowd=rng.random(count) < 0.15,
        ids=np.arange(count, dtype=np.int64),
    )


def found(rng: np.random.Generator, target: Target, inventions: int) -> People:
    """Some of the labelled people, some of them twice, off by a little or much, and others."""
    others = labelled(rng, inventions)
    which = np.flatnonzero(rng.random(len(target)) < 0.8)
    which = np.concatenate((which, which[rng.random(len(which)) < 0.3]))
    sides = np.sqrt(target.areas_px2[which])
    off = rng.choice([0.02, 0.1, 0.3], len(which)) * sides
    keypoints = target.keypoints[which] + rng.normal(size=(len(which), K, 2)) * off[:, None, None]
    boxes = target.boxes[which] + rng.normal(size=(len(which), 4)) * off[:, None] / 2
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    count = len(which) + inventions
    return People(
        boxes=np.concatenate((boxes, others.boxes)).astype(np.float32),
        scores=rng.choice(np.linspace(0.05, 1, 12), count).astype(np.float32),  # so that some are equal
        keypoints=np.concatenate((keypoints, others.keypoints)).astype(np.float32),
        confidence=rng.random((count, K)).astype(np.float32),
        logits=rng.normal(size=(count, K)).astype(np.float32),
    )


def picture(seed: int, most: int = 6) -> tuple[People, Target]:
    rng = np.random.default_rng(seed)
    target = labelled(rng, int(rng.integers(0, most)))
    return found(rng, target, int(rng.integers(0, most))), target
