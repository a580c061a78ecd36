"""Copy-paste occlusion: people cut out of one picture stand in front of those of another.

Source: https://arxiv.org/abs/2012.07177, with what the keypoints outline instead of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.train.target import Sample, Target

_Number = TypeVar("_Number", bound=np.generic)

_HIDDEN_MAX = 0.7
"""Who is hidden further than this counts as crowd: too little is seen to be learned."""


def pasted(
    sample: Sample, other: Sample, person: int, at_px: tuple[int, int], limbs: Sequence[tuple[int, int]]
) -> Sample:
    """The picture with somebody of another one in front; keypoints behind that are labelled hidden.

    Args:
        sample: the picture that somebody is put into.
        other: where that person comes from, at the scale wanted.
        person: which of its people.
        at_px: where the top left corner of that box comes to lie.
        limbs: pairs of keypoints that the person is thick between.
    """
    mask = outline(other.target, person, limbs)
    x1, y1 = np.floor(other.target.boxes[person, :2]).astype(int).tolist()
    shift = (at_px[0] - x1, at_px[1] - y1)
    there = _moved(mask, shift, sample.target.size_hw)
    pixels = np.where(there[..., None], _moved(other.pixels, shift, sample.target.size_hw), sample.pixels)
    newcomer = other.target.take(np.array([person])).shifted(*shift, sample.target.size_hw).clipped()
    return Sample(pixels, _hidden(sample.target, there).joined([newcomer]))


def outline(target: Target, person: int, limbs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """(H, W) the pixels within reach of a limb whose ends are labelled, or of a labelled keypoint; inside the box."""
    height, width = target.size_hw
    x1, y1, x2, y2 = np.clip(target.boxes[person], 0, (width, height, width, height))
    reach_px = 0.12 * float(np.sqrt(max(target.areas_px2[person], 1.0)))
    rows, columns = slice(int(y1), int(np.ceil(y2))), slice(int(x1), int(np.ceil(x2)))
    ys, xs = np.mgrid[rows, columns] + 0.5
    places = np.stack((xs, ys), -1)
    points, seen = target.keypoints[person], target.visibility[person] > 0
    near = np.zeros(places.shape[:2], bool)
    pairs = [(a, b) for a, b in limbs if seen[a] and seen[b]] + [(at, at) for at in np.flatnonzero(seen).tolist()]
    for a, b in pairs:
        near |= _distance_px(places, points[a], points[b]) <= reach_px
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = near
    return mask


def _hidden(target: Target, there: NDArray[np.bool_]) -> Target:
    """The people with somebody in front of them at the pixels (H, W)."""
    height, width = target.size_hw
    x, y = np.floor(target.keypoints).astype(int).transpose(2, 0, 1)
    behind = there[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] & (target.visibility > 0)
    covered = [_covered(there, box) for box in target.boxes]
    return replace(
        target,
        visibility=np.where(behind, 1, target.visibility).astype(np.int8),
        crowd=target.crowd | (np.array(covered, float) > _HIDDEN_MAX),
    )


def _covered(there: NDArray[np.bool_], box: NDArray[np.float32]) -> float:
    x1, y1, x2, y2 = np.round(np.maximum(box, 0)).astype(int).tolist()
    inside = there[y1:y2, x1:x2]
    return float(inside.mean()) if inside.size else 0.0


def _moved(pixels: NDArray[_Number], shift: tuple[int, int], size_hw: tuple[int, int]) -> NDArray[_Number]:
    """A picture or mask moved right and down, in a frame of another size; zeros where it does not reach."""
    (dx, dy), (height, width) = shift, size_hw
    old_h, old_w = pixels.shape[:2]
    x0, y0, x1, y1 = max(dx, 0), max(dy, 0), min(dx + old_w, width), min(dy + old_h, height)
    moved = np.zeros((height, width, *pixels.shape[2:]), pixels.dtype)
    if x1 > x0 and y1 > y0:
        moved[y0:y1, x0:x1] = pixels[y0 - dy : y1 - dy, x0 - dx : x1 - dx]
    return moved


def _distance_px(
    places: NDArray[np.float64], start: NDArray[np.float32], end: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(h, w) distance of places (h, w, 2) from a straight line between two points."""
    along = (end - start).astype(float)
    length2 = max(float(along @ along), np.finfo(float).tiny)
    share = np.clip((places - start) @ along / length2, 0, 1)
    distance: NDArray[np.float64] = np.linalg.norm(places - start - share[..., None] * along, axis=-1)
    return distance
