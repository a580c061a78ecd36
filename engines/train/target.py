"""The labels of one picture, as arrays that stay and move together.

Letters: N people, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.float32]
Matrix = NDArray[np.floating[Any]]
"""(2, 3): maps x, y, 1 of the old picture to x, y of the new one."""


@dataclass(frozen=True)
class Target:
    """N labelled people in pixels of their picture; the centre of the top left pixel lies at (0.5, 0.5)."""

    size_hw: tuple[int, int]
    """Height and width of the picture."""
    boxes: F
    """(N, 4): x1, y1, x2, y2."""
    keypoints: F
    """(N, K, 2): x, y; without meaning where the visibility is 0."""
    visibility: NDArray[np.int8]
    """(N, K): 0 not labelled, 1 labelled and hidden, 2 labelled and visible."""
    weights: F
    """(N, K) in 0..1: how much each keypoint counts in a loss; 0 where the visibility is 0."""
    areas_px2: F
    """(N,) area of the person, not of the box."""
    crowd: NDArray[np.bool_]
    """(N,) a group, or somebody who is not labelled: neither a positive nor background."""
    ids: NDArray[np.int64]
    """(N,) number of the annotation, or of the identity in a moving picture."""
    collage: bool = False
    """Put together from crops: people are cut and crowded as in no picture, so boxes are not learned from it."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> NDArray[np.int64]:
        """(N,) how many keypoints are labelled."""
        return np.asarray((self.visibility > 0).sum(1), np.int64)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> Target:
        """The chosen people, by index or by mask, in that order."""
        arrays: dict[str, Any] = {name: getattr(self, name)[which] for name in _ARRAYS}
        return replace(self, **arrays)

    def joined(self, others: Sequence[Target]) -> Target:
        """These people and then the others', as people of this picture."""
        everybody = (self, *others)
        arrays: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in everybody]) for name in _ARRAYS}
        return replace(self, **arrays)

    def mapped(self, matrix: Matrix, size_hw: tuple[int, int]) -> Target:
        """The people where an affine map puts them, in a picture of another size; nobody is cut off.

        A turned box is the hull of the turned ellipse in it, which is nearer to a person than that of the turned
        corners. Source: https://arxiv.org/abs/2104.14504.
        """
        matrix = np.asarray(matrix, np.float64)
        linear, shift = matrix[:, :2], matrix[:, 2]
        centres = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2 @ linear.T + shift
        halves = (self.boxes[:, 2:] - self.boxes[:, :2]) / 2
        reach = np.sqrt(np.square(halves) @ np.square(linear).T)
        return replace(
            self,
            size_hw=size_hw,
            boxes=np.concatenate((centres - reach, centres + reach), 1).astype(np.float32),
            keypoints=(self.keypoints @ linear.T + shift).astype(np.float32),
            areas_px2=(self.areas_px2 * abs(np.linalg.det(linear))).astype(np.float32),
        )

    def scaled(self, size_hw: tuple[int, int]) -> Target:
        """The people of the picture stretched to another size."""
        (old_h, old_w), (h, w) = self.size_hw, size_hw
        if (old_h, old_w) == (h, w):
            return self
        return self.mapped(np.array([[w / old_w, 0, 0], [0, h / old_h, 0]]), size_hw)

    def shifted(self, x_px: float, y_px: float, size_hw: tuple[int, int]) -> Target:
        """The people moved right and down, in a picture of another size."""
        return self.mapped(np.array([[1, 0, x_px], [0, 1, y_px]]), size_hw)

    def mirrored(self, mirror: Sequence[int]) -> Target:
        """The people seen in a mirror.

        Args:
            mirror: of each keypoint the one that takes its place: left and right change.
        """
        turned = self.mapped(np.array([[-1, 0, self.size_hw[1]], [0, 1, 0]]), self.size_hw)
        swap = list(mirror)
        return replace(
            turned,
            keypoints=turned.keypoints[:, swap],
            visibility=turned.visibility[:, swap],
            weights=turned.weights[:, swap],
        )

    def clipped(self, kept_min: float = 0.3) -> Target:
        """What of the people lies in the picture: keypoints outside are not labelled, nobody outside is left.

        Args:
            kept_min: who keeps less than this share of the box counts as crowd: too little is seen to be learned.
        """
        height, width = self.size_hw
        ends = np.array([width, height, width, height], np.float32)
        boxes = np.clip(self.boxes, 0, ends)
        kept = _areas_px2(boxes) / np.maximum(_areas_px2(self.boxes), np.finfo(np.float32).tiny)
        inside = ((self.keypoints >= 0) & (self.keypoints < ends[:2])).all(-1)
        cut = replace(
            self,
            boxes=boxes,
            visibility=np.where(inside, self.visibility, 0).astype(np.int8),
            weights=np.where(inside, self.weights, 0).astype(np.float32),
            areas_px2=(self.areas_px2 * kept).astype(np.float32),
            crowd=self.crowd | (kept < kept_min),
        )
        return cut.take(kept > 0)


class Sample(NamedTuple):
    """A picture with its labels."""

    pixels: NDArray[np.uint8]
    """(H, W, 3) RGB; not to be written to, for another sample may show the same pixels."""
    target: Target


def nobody(size_hw: tuple[int, int], keypoints: int) -> Target:
    """The labels of a picture without people, for K keypoints."""
    return Target(
        size_hw,
        boxes=np.zeros((0, 4), np.float32),
        keypoints=np.zeros((0, keypoints, 2), np.float32),
        visibility=np.zeros((0, keypoints), np.int8),
        weights=np.zeros((0, keypoints), np.float32),
        areas_px2=np.zeros(0, np.float32),
        crowd=np.zeros(0, bool),
        ids=np.zeros(0, np.int64),
    )


def _areas_px2(boxes: F) -> F:
    areas: F = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return areas


_ARRAYS = tuple(field.name for field in fields(Target) if field.name not in ("size_hw", "collage"))
