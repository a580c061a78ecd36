"""Solids made of triangles, each of one colour.

Corners of a triangle go round counter-clockwise seen from outside. Letters: V vertices, T triangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

F = NDArray[np.floating[Any]]


class Mesh(NamedTuple):
    """Triangles in space."""

    vertices: F
    """(V, 3)"""
    triangles: NDArray[np.int64]
    """(T, 3) indices of vertices."""
    colours: F
    """(T, 3) RGB, 0..255."""

    def moved(self, rotation: F, translation: F) -> Mesh:
        """The mesh turned and then shifted."""
        return self._replace(vertices=self.vertices @ rotation.T + translation)


_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_SIDES = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
"""Corners of a box's sides: low x, high x, low y, high y, low z, high z."""


def box(low: ArrayLike, high: ArrayLike, colour: ArrayLike) -> Mesh:
    """A box between two corners, its sides along the axes."""
    vertices = np.asarray(low) + _CORNERS * (np.asarray(high) - np.asarray(low))
    triangles = np.concatenate((_SIDES[:, [0, 1, 2]], _SIDES[:, [0, 2, 3]]))
    return Mesh(vertices, triangles, np.tile(np.asarray(colour, float), (len(triangles), 1)))


def cylinder(start: ArrayLike, end: ArrayLike, radius: float, colour: ArrayLike, cap: ArrayLike | None = None) -> Mesh:
    """A twelve-sided bar between the middles of its two ends; `cap` is the colour of the ends, if another."""
    sides = 12
    start, end = np.asarray(start, float), np.asarray(end, float)
    axis = end - start
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    across /= np.linalg.norm(across)
    other = np.cross(axis / np.linalg.norm(axis), across)
    angles = 2 * np.pi * np.arange(sides) / sides
    ring = radius * (np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * other)
    vertices = np.concatenate((ring + start, ring + end, [start], [end]))
    now, then = np.arange(sides), (np.arange(sides) + 1) % sides
    low, high = np.full(sides, 2 * sides), np.full(sides, 2 * sides + 1)
    bar = np.concatenate((np.stack((now, then, then + sides), 1), np.stack((now, then + sides, now + sides), 1)))
    ends = np.concatenate((np.stack((low, then, now), 1), np.stack((high, now + sides, then + sides), 1)))
    colours = np.repeat(
        [np.asarray(colour, float), np.asarray(colour if cap is None else cap, float)], 2 * sides, axis=0
    )
    return Mesh(vertices, np.concatenate((bar, ends)), colours)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one, in that order."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.triangles + start for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.colours for mesh in meshes]),
    )


def diameter(vertices: F) -> float:
    """The largest distance between two of the vertices (V, 3)."""
    return float(np.sqrt(np.square(vertices[:, None] - vertices[None]).sum(-1).max()))
