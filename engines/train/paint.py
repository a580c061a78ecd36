"""Rounded bodies painted into a picture with depth: what is nearer hides what is farther, pixel by pixel.

Axes: x right, y down, z towards the viewer; all in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]

NOBODY = -1
_LIGHT = np.array([-0.45, -0.55, 0.7], np.float32)
_AMBIENT, _DIFFUSE = 0.5, 0.6
_TILE = 32
"""Side of a cloth's pattern in its own pixels."""


class Capsule(NamedTuple):
    """A limb: a round bar between two places, thicker at one end or not."""

    start: F
    """(3,)"""
    end: F
    """(3,)"""
    start_px: float
    """Its radius there."""
    end_px: float


class Surface(NamedTuple):
    """What of a body is seen in a window of the picture; (h, w) or (h, w, 3) each."""

    rows: slice
    columns: slice
    inside: F
    """0..1: how much of the pixel is covered."""
    z: F
    normal: F
    along: F
    """Place along the limb, in its radii."""
    around: F
    """Place around the limb, -0.5..0.5 from one edge to the other."""


@dataclass(frozen=True)
class Canvas:
    """A picture under way."""

    pixels: NDArray[np.float32]
    """(H, W, 3) RGB, 0..255."""
    z: NDArray[np.float32]
    """(H, W) how near what is seen there is; -inf: the background."""
    owner: NDArray[np.int16]
    """(H, W) whose it is, or `NOBODY`."""

    def paint(self, seen: Surface, colours: F, owner: int) -> None:
        """Put a surface in front of what is farther."""
        window = (seen.rows, seen.columns)
        nearer = (seen.inside > 0) & (seen.z > self.z[window])
        share = np.where(nearer, seen.inside, 0)[..., None]
        light = _AMBIENT + _DIFFUSE * np.maximum(seen.normal @ _LIGHT, 0)
        self.pixels[window] += share * (colours * light[..., None] - self.pixels[window])
        taken = nearer & (seen.inside >= 0.5)
        self.z[window][taken] = seen.z[taken]
        self.owner[window][taken] = owner


def blank(background: NDArray[np.uint8]) -> Canvas:
    """A canvas that shows the background (H, W, 3)."""
    height, width = background.shape[:2]
    return Canvas(
        background.astype(np.float32),
        np.full((height, width), -np.inf, np.float32),
        np.full((height, width), NOBODY, np.int16),
    )


def capsules(parts: Sequence[Capsule], size_hw: tuple[int, int]) -> Surface | None:
    """The surface of several capsules that are one body; None: it lies outside of the picture.

    Patterns run along the first one.
    """
    window = _window(parts, size_hw)
    if window is None:
        return None
    rows, columns = window
    ys = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(0.5)
    xs = np.arange(columns.start, columns.stop, dtype=np.float32)[None] + np.float32(0.5)
    first = seen = _capsule(parts[0], xs, ys)
    for part in parts[1:]:
        other = _capsule(part, xs, ys)
        # Where both are, the nearer; where neither, whichever is less far off.
        better = np.where((other[0] < 0.5) & (seen[0] < 0.5), other[1] > seen[1], other[0] < seen[0])
        seen = tuple(np.where(better, new, old) for new, old in zip(other, seen, strict=True))
    beyond, z, nx, ny, nz, *_ = seen
    along, around = first[5:]
    inside = np.clip(0.5 - beyond, 0, 1)
    return Surface(rows, columns, inside, z, np.stack((nx, ny, nz), -1), along, around)


def ellipsoid(middle: F, radii_px: tuple[float, float], up: F, size_hw: tuple[int, int]) -> Surface | None:
    """The surface of a head: radii across and along `up` (3,); `normal` is that of a ball. None: it is outside."""
    reach = max(radii_px)
    window = _window([Capsule(middle, middle, reach, reach)], size_hw)
    if window is None:
        return None
    rows, columns = window
    dy = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(0.5 - middle[1])
    dx = np.arange(columns.start, columns.stop, dtype=np.float32)[None] + np.float32(0.5 - middle[0])
    length = float(np.hypot(up[0], up[1]))
    ux, uy = (float(up[0]) / length, float(up[1]) / length) if length > 1e-6 else (0.0, -1.0)
    along = (dx * ux + dy * uy) / radii_px[1]
    across = (-dx * uy + dy * ux) / radii_px[0]
    radius = np.sqrt(along**2 + across**2)
    inside = np.clip(0.5 - (radius - 1) * min(radii_px), 0, 1)
    deep = np.sqrt(np.maximum(1 - radius**2, 0))
    edge = np.maximum(radius, 1)
    along, across = along / edge, across / edge
    normal = np.stack((along * ux - across * uy, along * uy + across * ux, deep), -1)
    z = np.float32(middle[2]) + deep * np.float32(radii_px[0])
    return Surface(rows, columns, inside, z, normal, along, across)


def cloth(rng: np.random.Generator, colour: F) -> NDArray[np.float32]:
    """A pattern (32, 32, 3) of a colour and another: plain, striped, checked or speckled."""
    other = np.clip(colour + rng.normal(0, 70, 3), 0, 255)
    at = np.arange(_TILE)
    period = int(rng.choice([4, 8, 16]))
    stripes = at % period < period / 2
    plain = np.zeros((_TILE, _TILE), bool)
    kinds = [plain, plain, plain | stripes, plain | stripes[:, None], stripes[:, None] ^ stripes]
    chosen = rng.integers(len(kinds) + 1)
    share = rng.random((_TILE, _TILE)) < 0.3 if chosen == len(kinds) else kinds[chosen]
    pattern = np.where(share[..., None], other, colour) * rng.uniform(0.93, 1.07, (_TILE, _TILE, 1))
    return pattern.astype(np.float32)


def worn(pattern: NDArray[np.float32], seen: Surface, turn: float) -> F:
    """(h, w, 3) colours of a surface in a cloth; turn, in turns: what of the cloth is in front."""
    u = (seen.along * 8).astype(int) % _TILE
    v = ((seen.around / 2 + turn) * 2 * _TILE).astype(int) % _TILE
    colours: F = pattern[u, v]
    return colours


def _window(parts: Sequence[Capsule], size_hw: tuple[int, int]) -> tuple[slice, slice] | None:
    ends = np.array([[*part.start[:2], part.start_px] for part in parts] + [[*p.end[:2], p.end_px] for p in parts])
    low = np.floor((ends[:, :2] - ends[:, 2:]).min(0) - 1).astype(int)
    high = np.ceil((ends[:, :2] + ends[:, 2:]).max(0) + 1).astype(int)
    height, width = size_hw
    x0, y0, x1, y1 = max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)
    return (slice(int(y0), int(y1)), slice(int(x0), int(x1))) if x1 > x0 and y1 > y0 else None


def _capsule(part: Capsule, xs: F, ys: F) -> tuple[F, ...]:
    """How far beyond its edge pixels are, depth, normal, and places along and around: (h, w) each."""
    (ax, ay, az), (bx, by, bz) = (end.astype(np.float32) for end in (part.start, part.end))
    ex, ey = bx - ax, by - ay
    length2 = max(float(ex * ex + ey * ey), 1e-6)
    px, py = xs - ax, ys - ay
    share = np.clip((px * ex + py * ey) / np.float32(length2), 0, 1)
    radius = np.float32(part.start_px) + share * np.float32(part.end_px - part.start_px)
    dx, dy = px - share * ex, py - share * ey
    distance = np.sqrt(dx * dx + dy * dy)
    nx, ny = dx / radius, dy / radius
    outside = np.maximum(np.sqrt(nx * nx + ny * ny), 1)
    nx, ny = nx / outside, ny / outside
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
    z = az + share * (bz - az) + nz * radius
    solid = float(np.linalg.norm(part.end - part.start)) / max(part.start_px, 1e-3)
    around = (nx * ey - ny * ex) / np.float32(np.sqrt(length2)) / 2
    return distance - radius, z, nx, ny, nz, share * np.float32(solid), around
