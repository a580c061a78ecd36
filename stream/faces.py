"""Where the faces of people are, generously: for blurring, where too much is better than too little."""

from __future__ import annotations

import numpy as np

from engines.ops.people import F, People
from engines.ops.skeleton import Skeleton

Area = tuple[float, float, float, float]
"""A rounded rectangle, |dx|⁴ + |dy|⁴ <= 1: centre x and y, half the width and half the height, pixels."""

_SURE = 0.5  # of a keypoint's confidence
_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_RADIUS_CM = 14.0  # of a circle that holds a face from any side, some room around it
_FACE_CM = {
    ("left_eye", "right_eye"): 6.0,
    ("left_ear", "right_ear"): 14.0,
    ("nose", "left_ear"): 12.0,
    ("nose", "right_ear"): 12.0,
    ("left_eye", "left_ear"): 9.0,
    ("right_eye", "right_ear"): 9.0,
}
_BUST_CM = {
    ("left_shoulder", "right_shoulder"): 34.0,
    ("left_shoulder", "left_hip"): 48.0,
    ("right_shoulder", "right_hip"): 48.0,
}
"""Keypoints of an adult, how far apart they are; turned away they look nearer, so the largest scale is right."""
_TALL_CM = 175.0
_BUST_SHARE_MAX = 0.25  # of the box's longer side: of a box that holds head and shoulders, the radius of the face
_FACE_SHARE_MAX = 0.5  # of a box that holds a head alone
_FACE_TO_BUST_MAX = 1.6  # of the face's radius by its own keypoints to that by shoulders and hips
_AROUND = 2**0.25  # of a rounded rectangle to the rectangle that it holds
_ABOVE_SHOULDERS_CM = 24.0  # the middle of the face


def faces_of(people: People, skeleton: Skeleton) -> list[list[Area]]:
    """For each person, areas that hold the face.

    Two sure keypoints of the face that lie near each other tell where it is. Otherwise it is sought around all of
    them, and above the shoulders, or at the top of the box where the shoulders are unsure too.
    """
    rows = zip(people.keypoints, people.confidence, people.boxes, strict=True)
    return [_Body(xy, confidence, box, skeleton).face() for xy, confidence, box in rows]


class _Body:
    """One person's keypoints by name."""

    def __init__(self, xy: F, confidence: F, box: F, skeleton: Skeleton) -> None:
        rows = zip(skeleton.names, xy.astype(float), confidence.tolist(), strict=True)
        points = {name: (at, sure >= _SURE) for name, at, sure in rows}
        self._all = {name: at for name, (at, _) in points.items()}
        self._sure = {name: at for name, (at, sure) in points.items() if sure}
        self._box = box.astype(float)
        self._radius_px = self._head_radius_px()

    def face(self) -> list[Area]:
        """Areas that hold it."""
        sure = np.array([self._sure[name] for name in _FACE if name in self._sure])
        if len(sure) >= 2 and np.linalg.norm(sure - sure.mean(0), axis=1).max() < self._radius_px:
            return [self._around(sure.mean(0))]
        maybe = [self._around(self._all[name]) for name in _FACE if name in self._all]
        return [*maybe, self._above_shoulders() or self._top_of_box()]

    def _head_radius_px(self) -> float:
        """By what is sure, as far as the box allows: a keypoint may be sure and wrong."""
        side_px = float((self._box[2:] - self._box[:2]).max())
        face_px, bust_px = self._largest_px(_FACE_CM), self._largest_px(_BUST_CM)
        least_px = max(_RADIUS_CM / _TALL_CM * side_px, min(bust_px, _BUST_SHARE_MAX * side_px))
        most_px = _FACE_TO_BUST_MAX * least_px if bust_px else _FACE_SHARE_MAX * side_px
        return max(least_px, min(face_px, most_px))

    def _largest_px(self, apart_cm: dict[tuple[str, str], float]) -> float:
        """Radius of the face by the pair of keypoints that looks largest; 0: none is sure."""
        pairs = [(one, other) for one, other in apart_cm if one in self._sure and other in self._sure]
        apart = {pair: float(np.linalg.norm(self._sure[pair[0]] - self._sure[pair[1]])) for pair in pairs}
        return max((_RADIUS_CM * apart[pair] / apart_cm[pair] for pair in pairs), default=0.0)

    def _around(self, at: F) -> Area:
        x, y = at.tolist()
        return x, y, self._radius_px, self._radius_px

    def _above_shoulders(self) -> Area | None:
        shoulders = [self._sure.get("left_shoulder"), self._sure.get("right_shoulder")]
        if shoulders[0] is None or shoulders[1] is None:
            return None
        middle, up = (shoulders[0] + shoulders[1]) / 2, np.array([0.0, -1.0])
        hips = [self._sure.get("left_hip"), self._sure.get("right_hip")]
        if hips[0] is not None and hips[1] is not None:
            spine = middle - (hips[0] + hips[1]) / 2
            up = spine / max(float(np.linalg.norm(spine)), 1.0)
        x, y = (middle + up * self._largest_px(_BUST_CM) * _ABOVE_SHOULDERS_CM / _RADIUS_CM).tolist()
        return x, y, 1.3 * self._radius_px, 1.3 * self._radius_px

    def _top_of_box(self) -> Area:
        """Around a rectangle: the upper third of the box, all of it where it is wider than high."""
        x1, y1, x2, y2 = self._box.tolist()
        if x2 - x1 < y2 - y1:
            y2 = min(y2, y1 + max((y2 - y1) / 3, 2.2 * self._radius_px))
        wide, high = (x2 - x1) / 2, (y2 - y1) / 2
        return (x1 + x2) / 2, (y1 + y2) / 2, wide * _AROUND, high * _AROUND
