"""The lines with which a pencil draws a solid: its sharp edges, and where its sides turn away from the camera.

Letters: E edges, S pieces of them, P points, T triangles.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.pose6d.camera import F, in_camera
from engines.pose6d.mesh import Mesh

_SHARP_COS: Final = 0.7
"""Cosine of the angle between two normals below which the edge between them is drawn: more than 45 degrees."""
_PIECES: Final = 12
"""An edge is seen or hidden piece by piece."""
_SAME: Final = 2e-3
"""A point so much farther than a triangle, as a share of the distance, still lies on it."""


class Outline:
    """Draws a mesh of closed solids."""

    def __init__(self, mesh: Mesh) -> None:
        """Find the edges: of each the two triangles that meet there."""
        self._vertices, self._triangles = mesh.vertices, mesh.triangles
        sides = np.concatenate([mesh.triangles[:, pair] for pair in ((0, 1), (1, 2), (2, 0))])
        owner = np.tile(np.arange(len(mesh.triangles)), 3)
        ends, which = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        self._edges, self._beside = ends, owner[order].reshape(-1, 2)  # of a closed mesh each edge has two
        normals = _normals(mesh.vertices[mesh.triangles])
        self._sharp = (normals[self._beside[:, 0]] * normals[self._beside[:, 1]]).sum(1) < _SHARP_COS

    def seen(self, rotation: F, translation: F) -> F:
        """(S, 2, 3) ends of the pieces of edges that can be seen, in the axes of the camera."""
        placed = in_camera(self._vertices, rotation, translation)
        corners = placed[self._triangles]
        facing = (_normals(corners) * corners[:, 0]).sum(1) < 0
        beside = facing[self._beside]
        drawn = beside.any(1) & (self._sharp | ~beside.all(1))
        start, end = placed[self._edges[drawn]].transpose(1, 0, 2)[:, :, None]
        cuts = start + np.linspace(0, 1, _PIECES + 1)[:, None] * (end - start)  # (E, pieces + 1, 3)
        pieces = np.stack((cuts[:, :-1], cuts[:, 1:]), 2).reshape(-1, 2, 3)
        seen: F = pieces[~hidden(pieces.mean(1), corners[facing])]
        return seen


def hidden(points: F, corners: F) -> NDArray[np.bool_]:
    """(P,) whether points (P, 3) lie behind one of triangles (T, 3, 3), seen from the origin.

    Of the point in barycentric coordinates, p = a A + b B + c C: where none is below 0 and their sum, which is the
    depth in units of the triangle's, is above 1.
    """
    shares = np.einsum("tij,pj->pti", np.linalg.inv(corners.transpose(0, 2, 1)), points)
    behind: NDArray[np.bool_] = ((shares.min(2) >= 0) & (shares.sum(2) > 1 + _SAME)).any(1)
    return behind


def _normals(corners: F) -> F:
    """(T, 3) unit normals of triangles (T, 3, 3), outwards."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit: F = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(float).tiny)
    return unit
