"""Poses that fit keypoints in the least squares of DLT's linear equations, found from every side: no first guess.

A keypoint (u, v) in normalised coordinates says two linear equations of the object's pose: the first two rows of
q x (R X + t) with q = (u, v, 1), which DLT solves for twelve numbers. Here the translation is eliminated in closed
form, and the quadratic form that is left of the nine numbers of R is minimised over rotations alone: so four points do,
and points in one plane are no special case. Sources: the equations, Hartley and Zisserman, Multiple View Geometry, 7.1;
their form without the translation, https://doi.org/10.1007/978-3-030-58452-8_28.

Letters: N points, B weightings of them, S = 24 starts.
"""

from __future__ import annotations

from itertools import permutations, product
from typing import Final, NamedTuple

import numpy as np

from engines.pose6d.camera import F

_STEPS: Final = 12
_DAMPING: Final = 1e-6
"""Added to the curvature, as a share of its trace: a quadratic form that is flat along a rotation stays solvable."""


class Candidates(NamedTuple):
    """Poses that may be the one, B * S of them; of each weighting those that the 24 starts come to."""

    rotations: F
    """(B * S, 3, 3)"""
    translations: F
    """(B * S, 3)"""


def candidates(points: F, rays: F, weights: F) -> Candidates:
    """Poses that fit the points in the least squares of the linear equations.

    Args:
        points: (N, 3) in the object's axes.
        rays: (N, 2) where they are seen, in normalised coordinates: see `camera.normalised`.
        weights: (B, N) at least 0: how much each point counts; four or more of each row are above 0.
    """
    centre = points.mean(0)
    scale = float(np.linalg.norm(points - centre, axis=1).mean())
    forms, to_translation = _forms((points - centre) / scale, rays, weights)
    turned = np.repeat(_STARTS[None], len(weights), 0)  # (B, S, 3, 3)
    for _ in range(_STEPS):
        turned = _step(turned, forms)
    shifts = np.einsum("bij,bsj->bsi", to_translation, turned.reshape(*turned.shape[:2], 9))
    found = turned.reshape(-1, 3, 3)
    return Candidates(found, scale * shifts.reshape(-1, 3) - found @ centre)


def _forms(points: F, rays: F, weights: F) -> tuple[F, F]:
    """(B, 9, 9) quadratic forms of the rows of R, one behind the other; (B, 3, 9) what makes translations of those."""
    count = len(points)
    equations = np.zeros((count, 2, 3))
    equations[:, 0, 0] = equations[:, 1, 1] = 1
    equations[..., 2] = -rays
    of_translation = np.einsum("nki,nkj->nij", equations, equations)
    placed = np.zeros((count, 3, 9))
    for row in range(3):
        placed[:, row, 3 * row : 3 * row + 3] = points
    both = of_translation @ placed
    square = np.einsum("nki,nkj->nij", placed, both)
    total, mixed, own = (
        (weights @ each.reshape(count, -1)).reshape(-1, *each.shape[1:]) for each in (of_translation, both, square)
    )
    to_translation = -np.linalg.solve(total, mixed)
    return own + np.einsum("bki,bkj->bij", mixed, to_translation), to_translation


def _step(turned: F, forms: F) -> F:
    """Rotations (B, S, 3, 3) after a step of Gauss and Newton: a turn each about a vector in the camera's axes."""
    # d vec(R) / d w of exp(w) R: the k-th column is vec(G_k R), with G_k the cross product with the k-th axis.
    slopes = np.einsum("kij,bsjl->bsilk", _GENERATORS, turned).reshape(*turned.shape[:2], 9, 3)
    pulled = forms[:, None] @ slopes
    gradient = np.einsum("bsik,bsi->bsk", pulled, turned.reshape(*turned.shape[:2], 9))
    curvature = np.einsum("bsik,bsil->bskl", slopes, pulled)
    damping = _DAMPING * np.trace(curvature, axis1=2, axis2=3)[..., None, None] + np.finfo(float).tiny
    vectors = -np.linalg.solve(curvature + damping * np.eye(3), gradient[..., None])[..., 0]
    return _rotations(vectors) @ turned


def _rotations(vectors: F) -> F:
    """(..., 3, 3) rotations about vectors (..., 3), cut to a radian: a longer step would mean little."""
    angles = np.linalg.norm(vectors, axis=-1)[..., None, None]
    vectors = vectors * np.minimum(1, 1 / np.maximum(angles[..., 0], 1e-12))
    angles = np.clip(angles, 1e-12, 1)
    cross = np.einsum("...k,kij->...ij", vectors, _GENERATORS)
    turned: F = np.eye(3) + np.sin(angles) / angles * cross + (1 - np.cos(angles)) / angles**2 * cross @ cross
    return turned


_GENERATORS: Final[F] = np.array(
    [[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 0]]], float
)
"""(3, 3, 3): G_k x is the cross product of the k-th axis with x."""


def _turns_of_a_cube() -> F:
    """(24, 3, 3): no rotation is farther than 63 degrees from one of them."""
    signed = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    ]
    return np.array([each for each in signed if np.linalg.det(each) > 0])


_STARTS: Final = _turns_of_a_cube()
