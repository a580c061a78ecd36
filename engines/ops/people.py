"""The people of one frame, as arrays that stay together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from engines.ops.skeleton import COCO

F = NDArray[np.float32]


@dataclass(frozen=True)
class People:
    """N people of K keypoints each, in pixels of the upright source frame, best score first; nothing in it is NaN.

    The centre of the top left pixel lies at (0.5, 0.5).
    """

    boxes: F
    """(N, 4): x1, y1, x2, y2."""
    scores: F
    """(N,) in 0..1: how sure it is that this is a person."""
    keypoints: F
    """(N, K, 2): x, y."""
    confidence: F
    """(N, K) in 0..1: how sure it is that the keypoint lies there."""
    logits: F
    """(N, K): the heat map's raw value at the keypoint, unbounded."""
    spread_px: F | None = None
    """(N, K, 2): standard deviation along x and y of several answers; None: the network was asked once."""

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> People:
        """The chosen people, by index or by mask, in that order."""
        return replace(self, **{name: each[which] for name, each in self.arrays().items()})

    def arrays(self) -> dict[str, F]:
        """What there is, by name; N rows each."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: each for name, each in named if each is not None}

    def scaled(self, x: float, y: float) -> People:
        """The same people in a picture so many times as wide and as high."""
        by = np.array([x, y], np.float32)
        return replace(self, boxes=self.boxes * np.tile(by, 2), keypoints=self.keypoints * by)

    @property
    def areas_px2(self) -> F:
        """(N,) area of each box, at least 1."""
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        area: F = np.maximum(sides[:, 0] * sides[:, 1], np.float32(1))
        return area


def joined(first: People, second: People) -> People:
    """The people of both, in that order; if one holds nobody, the other as it is."""
    if not len(first) or not len(second):
        return second if not len(first) else first
    more = second.arrays()
    return People(**{name: np.concatenate((each, more[name])) for name, each in first.arrays().items()})


def nobody(keypoints: int = COCO.size) -> People:
    """The people of an empty frame; `keypoints` is K."""
    return People(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        keypoints=np.zeros((0, keypoints, 2), np.float32),
        confidence=np.zeros((0, keypoints), np.float32),
        logits=np.zeros((0, keypoints), np.float32),
    )
