"""From keypoints of an object to its pose: wrong keypoints are left out, and what cannot be told is said.

Letters: N points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engines.pose6d.camera import F, angle_deg, normalised
from engines.pose6d.refine import Pose, Seen, Shape, refined
from engines.pose6d.rotations import Candidates, candidates

Verdict = Literal["ok", "ambiguous", "few", "collinear", "mirrored", "unfit"]
"""ambiguous: another pose fits about as well; few: it is said of less than four points where they are; collinear: all
of these lie on one line, about which the object may be turned; mirrored: they fit the object's mirror image, as swapped
names of left and right or a mirrored picture make it; unfit: no pose puts enough of them where they are seen."""

_GATE: Final = 4.0
"""A point seen more than so many deviations of a sure point's noise from where it should be is an outlier."""
_SAMPLES, _SAMPLE_SIZE = 40, 5
"""Poses are also fitted to so many random samples of so many points; with a third of the points wrong, one sample of
eight holds none of these: that all of forty do has a chance of one in 200."""
_FIT_MIN: Final = 0.4
"""So large a share of the points, and four, must not be outliers."""
_DOUBT: Final = 0.75
"""With a smaller share than this the mirror image is tried too."""
_AS_GOOD: Final = 6.0
"""Squares of deviations by which another pose may be worse and still be the true one: one time in seven of chance."""
_APART_DEG: Final = 15.0
_FLAT: Final = 0.02
"""Extent across a line or plane, as a share of that along it, below which points count as lying in it."""


@dataclass(frozen=True)
class Estimate:
    """What keypoints say of where an object stands."""

    verdict: Verdict
    pose: Pose | None
    """None with the verdicts few, collinear, mirrored, unfit."""
    other: Pose | None
    """The other pose, if ambiguous."""
    inliers: NDArray[np.bool_]
    """(N,) which points the pose was fitted to."""
    planar: bool
    """These lie in one plane: seen from afar the pose tends to be ambiguous."""


def estimate(shape: Shape, camera: F, pixels: F, confidence: F, noise_px: float = 2.0) -> Estimate:
    """The pose of an object.

    Args:
        shape: its points.
        camera: (3, 3) intrinsics.
        pixels: (N, 2) where the points are seen; whatever they are where the confidence is 0.
        confidence: (N,) in 0..1: how sure each is; a pixel's noise is noise_px / sqrt(confidence).
        noise_px: standard deviation, along an axis, of a point whose confidence is 1. It decides what is an outlier.

    Raises:
        ValueError: shapes disagree, or a confidence is not in 0..1.
    """
    _check(shape, pixels, confidence)
    there = np.flatnonzero((confidence > 0) & np.isfinite(pixels).all(1))
    nobody = np.zeros(len(pixels), bool)
    if len(there) < 4:
        return Estimate("few", None, None, nobody, False)
    points = shape.points[there]
    if _extent(points)[1] < _FLAT:
        return Estimate("collinear", None, None, nobody, True)
    sure = confidence[there]
    seen = Seen(camera, pixels[there], noise_px / np.sqrt(sure))
    fit = _Fit(shape.take(there), seen, sure, noise_px)
    first = fit.search()
    inliers = nobody.copy()
    if first is not None:
        inliers[there] = fit.inliers(first)
    share = float((inliers[there] * sure).sum() / sure.sum())
    if share < _DOUBT and _extent(points)[2] >= _FLAT and fit.mirrored().beats(fit, first):
        return Estimate("mirrored", None, None, nobody, False)
    if first is None or inliers.sum() < max(4, _FIT_MIN * len(there)):
        return Estimate("unfit", None, None, nobody, False)
    used = shape.points[inliers]
    if _extent(used)[1] < _FLAT:
        return Estimate("collinear", None, None, nobody, True)
    other = fit.other(first)
    return Estimate("ok" if other is None else "ambiguous", first, other, inliers, bool(_extent(used)[2] < _FLAT))


class _Fit:
    """The search for the pose of points that are all said to be somewhere."""

    def __init__(self, shape: Shape, seen: Seen, sure: F, noise_px: float) -> None:
        self._shape, self._seen, self._sure, self._noise_px = shape, seen, sure, noise_px
        self._found: Candidates | None = None

    def search(self) -> Pose | None:
        """The best pose; None: none has the points ahead of the camera."""
        rays = normalised(self._seen.camera, self._seen.pixels)
        self._found = candidates(self._shape.points, rays, _weightings(self._sure))
        costs = self._costs(self._found)
        best = int(costs.argmin())
        return self._polished(best) if np.isfinite(costs[best]) else None

    def other(self, first: Pose) -> Pose | None:
        """A pose far from the first one that cannot be told from it; None: there is none."""
        assert self._found is not None
        costs = self._costs(self._found)
        costs[_angles_deg(self._found.rotations, first.rotation) < _APART_DEG] = np.inf
        mine = self._cost(first)
        best = int(costs.argmin())
        # What a polish can gain is not known before it is done; only hopeless ones are left out.
        if not costs[best] < 3 * mine + 10 * _AS_GOOD:
            return None
        pose = self._polished(best)
        apart = angle_deg(pose.rotation, first.rotation) >= _APART_DEG
        return pose if apart and self._cost(pose) < mine + _AS_GOOD else None

    def mirrored(self) -> _Fit:
        """The same search with the object's mirror image."""
        flip = np.array([1, -1, 1])
        return _Fit(Shape(self._shape.points * flip, self._shape.modes * flip), self._seen, self._sure, self._noise_px)

    def beats(self, other: _Fit, theirs: Pose | None) -> bool:
        """Whether most points fit here, at less than half of the other's cost."""
        mine = self.search()
        if mine is None:
            return False
        share = float((self.inliers(mine) * self._sure).sum() / self._sure.sum())
        return share >= _DOUBT and (theirs is None or self._cost(mine) < other._cost(theirs) / 2)

    def inliers(self, pose: Pose) -> NDArray[np.bool_]:
        """(N,) which points are seen where they should be."""
        off = np.linalg.norm(pose.errors_px(self._shape, self._seen), axis=1)
        inside: NDArray[np.bool_] = off <= _GATE * self._noise_px
        return inside

    def _polished(self, number: int) -> Pose:
        """A candidate fitted to all points with little regard to those far off, then to its inliers alone."""
        assert self._found is not None
        pose = Pose(self._found.rotations[number], self._found.translations[number])
        pose = refined(pose, self._shape, self._seen, "cauchy")
        inliers = self.inliers(pose)
        if inliers.sum() < 4:
            return pose
        return refined(pose, self._shape.take(inliers), self._seen.take(inliers))

    def _cost(self, pose: Pose) -> float:
        return float(self._truncated(pose.errors_px(self._shape, self._seen)[None])[0])

    def _costs(self, poses: Candidates) -> F:
        """(B * S,) cost of each candidate; infinite: a point that it was fitted to may lie behind the camera."""
        placed = self._shape.points @ poses.rotations.transpose(0, 2, 1) + poses.translations[:, None]
        behind = (placed[..., 2] <= 0).any(1)
        flat = np.where(placed[..., 2:] > 0, placed, 1) @ self._seen.camera.T
        costs = self._truncated(flat[..., :2] / flat[..., 2:] - self._seen.pixels)
        costs[behind] = np.inf
        return costs

    def _truncated(self, errors_px: F) -> F:
        """(P,) sums of squares of errors (P, N, 2) in deviations, weighted by confidence; an outlier costs the gate's.

        Source: https://doi.org/10.1006/cviu.1999.0832 (MSAC).
        """
        squares = np.square(errors_px / self._noise_px).sum(2)
        costs: F = np.minimum(squares, _GATE**2) @ self._sure
        return costs


def _weightings(sure: F) -> F:
    """(1 + samples, N): all points by confidence, and random samples of five, more often of sure points."""
    count = len(sure)
    if count <= _SAMPLE_SIZE:
        return sure[None]
    rng = np.random.default_rng(0)  # the same keypoints always give the same pose
    # The largest of log(u) / weight are a sample without replacement: https://doi.org/10.1016/j.ipl.2005.11.003
    keys = np.log(rng.random((_SAMPLES, count))) / sure
    chosen = np.zeros((_SAMPLES, count))
    np.put_along_axis(chosen, np.argsort(-keys, axis=1)[:, :_SAMPLE_SIZE], 1.0, axis=1)
    return np.concatenate((sure[None], chosen))


def _extent(points: F) -> F:
    """(3,) how far points reach along their principal axes, as shares of the longest."""
    reach = np.linalg.svd(points - points.mean(0), compute_uv=False)
    reach = np.concatenate((reach, np.zeros(3 - len(reach))))
    shares: F = reach / max(reach[0], np.finfo(float).tiny)
    return shares


def _angles_deg(rotations: F, one: F) -> F:
    """(P,) angles from rotations (P, 3, 3) to one: see `camera.angle_deg`."""
    chords = np.linalg.norm((rotations - one).reshape(len(rotations), -1), axis=1) / (2 * np.sqrt(2))
    angles: F = np.degrees(2 * np.arcsin(np.minimum(chords, 1)))
    return angles


def _check(shape: Shape, pixels: F, confidence: F) -> None:
    count = len(shape.points)
    if pixels.shape != (count, 2) or confidence.shape != (count,):
        raise ValueError(
            f"the object has {count} points, got pixels {pixels.shape}, confidence {confidence.shape}; "
            f"expected ({count}, 2), ({count},)"
        )
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"confidence must lie in 0..1, got {confidence.min()}..{confidence.max()}")
