"""A z-buffer renderer: triangles to pixels, the nearest in front."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.pose6d.camera import F, project
from engines.pose6d.mesh import Mesh

NOTHING = -1
_NEAR = 1e-3
"""What comes nearer to the camera than this is left out, whole triangles at a time."""


@dataclass(frozen=True)
class Light:
    """What makes a solid's sides differ: one lamp far away, and light from everywhere."""

    towards: F
    """(3,) unit vector to the lamp, in the axes of the camera."""
    ambient: float
    """What a side in the shade keeps of its colour, 0..1."""
    diffuse: float
    """What a side that faces the lamp has beside that."""


class Buffer:
    """A picture under way: the nearest triangle of each pixel."""

    def __init__(self, size_hw: tuple[int, ...]) -> None:
        self.nearness: NDArray[np.float64] = np.zeros(size_hw)
        """(H, W) 1 / z of what is seen there, which is linear in the picture; 0: nothing."""
        self.owner: NDArray[np.int32] = np.full(size_hw, NOTHING, np.int32)
        """(H, W) number of the triangle that is seen there, over all meshes in the order of `draw`."""
        self._shades: list[F] = []
        self._count = 0

    def draw(self, mesh: Mesh, camera: F, light: Light) -> None:
        """Put in a closed mesh, whose vertices are in the axes of the camera; triangles seen from inside are none."""
        corners = mesh.vertices[mesh.triangles]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(float).tiny)
        faces_us = (normals * corners[:, 0]).sum(1) < 0
        for at in np.flatnonzero(faces_us & (corners[..., 2].min(1) > _NEAR)):
            self._fill(project(camera, corners[at]), 1 / corners[at, :, 2], self._count + int(at))
        shade = light.ambient + light.diffuse * np.maximum(normals @ light.towards, 0)
        self._shades.append(mesh.colours * shade[:, None])
        self._count += len(corners)

    def copy(self) -> Buffer:
        """The same picture, which can be drawn on without changing this one."""
        other = Buffer(self.owner.shape)
        other.nearness, other.owner = self.nearness.copy(), self.owner.copy()
        other._shades, other._count = list(self._shades), self._count
        return other

    def over(self, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (H, W, 3) with the background where nothing is."""
        colours = np.clip(np.concatenate([*self._shades, np.zeros((1, 3))]) + 0.5, 0, 255).astype(np.uint8)
        return np.where((self.owner == NOTHING)[..., None], background, colours[self.owner])

    def _fill(self, xy: F, nearness: F, number: int) -> None:
        """One triangle, (3, 2) pixels: those whose centres lie in it and where nothing is nearer."""
        height, width = self.owner.shape
        x0, y0 = np.maximum(np.ceil(xy.min(0) - 0.5), 0).astype(int)
        x1, y1 = np.minimum(np.floor(xy.max(0) - 0.5) + 1, (width, height)).astype(int)
        (ax, ay), (bx, by), (cx, cy) = xy
        twice = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if x1 <= x0 or y1 <= y0 or abs(twice) < 1e-12:
            return
        x, y = np.arange(x0, x1) + 0.5, (np.arange(y0, y1) + 0.5)[:, None]
        # Barycentric coordinates of the second and third corner: each is linear in the picture.
        second = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) / twice
        third = ((y - ay) * (bx - ax) - (x - ax) * (by - ay)) / twice
        near = nearness[0] + second * (nearness[1] - nearness[0]) + third * (nearness[2] - nearness[0])
        window = (slice(y0, y1), slice(x0, x1))
        seen = (second >= 0) & (third >= 0) & (second + third <= 1) & (near > self.nearness[window])
        self.nearness[window][seen] = near[seen]
        self.owner[window][seen] = number
