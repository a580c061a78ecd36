"""The COCO-17 person: names, limbs, mirror pairs and OKS falloffs. The only copy."""

from __future__ import annotations

from typing import Final

import numpy as np

NAMES: Final = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""Keypoint names in COCO order; left and right are the person's own."""

LIMBS: Final = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
"""Pairs of keypoints that a line joins, COCO's skeleton counted from 0."""

MIRROR: Final = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Where each keypoint goes when the picture is flipped left to right."""

SIGMAS: Final = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
     0.089, 0.089]
)  # fmt: skip
"""(17,) OKS falloff per keypoint, unitless. Source: https://cocodataset.org/#keypoints-eval"""
SIGMAS.setflags(write=False)
