"""The people of one frame, as arrays that stay together."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]
K = 17


@dataclass(frozen=True)
class People:
    """N people in pixels of the upright source frame, best score first; nothing in it is NaN.

    The centre of the top left pixel lies at (0.5, 0.5).
    """

    boxes: F
    """(N, 4): x1, y1, x2, y2."""
    scores: F
    """(N,) in 0..1: how sure it is that this is a person."""
    keypoints: F
    """(N, 17, 2): x, y."""
    confidence: F
    """(N, 17) in 0..1: how sure it is that the keypoint lies there."""
    logits: F
    """(N, 17): the heat map's raw value at the keypoint, unbounded."""

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> People:
        """Give the chosen people, by index or by mask, in that order."""
        return People(*(getattr(self, field.name)[which] for field in fields(self)))

    @property
    def areas_px2(self) -> F:
        """(N,) area of each box, at least 1."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        area: F = np.maximum(sides[:, 0] * sides[:, 1], np.float32(1))
        return area


def nobody() -> People:
    """Give an empty frame's people."""
    return People(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        keypoints=np.zeros((0, K, 2), np.float32),
        confidence=np.zeros((0, K), np.float32),
        logits=np.zeros((0, K), np.float32),
    )
