"""COCO's keypoints, for those who need no more than their names."""

from __future__ import annotations

from typing import Final

KEYPOINTS: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
    "left_ankle", "right_ankle",
)  # fmt: skip
"""In order; left and right are the person's own. Source: https://cocodataset.org/#keypoints-eval"""
