"""Boxes x1, y1, x2, y2 from deltas and back, and kept inside their picture. Pixels of the network's input."""

from __future__ import annotations

import math

from torch import Tensor, cat, stack

_GROWTH_MAX = math.log(1000 / 16)
"""Deltas that would grow a box further are cut: exp() must not overflow."""


def decode(deltas: Tensor, references: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """(..., 4) boxes that deltas (..., 4) make of references (..., 4).

    `weights` divide the shift of the centre and the logarithm of the growth.
    Source: https://arxiv.org/abs/1311.2524, appendix C.
    """
    sides = references[..., 2:] - references[..., :2]
    centres = references[..., :2] + 0.5 * sides
    centres = deltas[..., :2] / weights[0] * sides + centres
    halves = 0.5 * ((deltas[..., 2:] / weights[1]).clamp(max=_GROWTH_MAX).exp() * sides)
    return stack((centres - halves, centres + halves), dim=-2).flatten(-2)


def encode(boxes: Tensor, references: Tensor, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """(..., 4) deltas that make boxes (..., 4) of references (..., 4), all with sides above 0; `decode` undoes it."""
    sides, reference_sides = (each[..., 2:] - each[..., :2] for each in (boxes, references))
    shifts = (boxes[..., :2] + 0.5 * sides) - (references[..., :2] + 0.5 * reference_sides)
    return cat((weights[0] * shifts / reference_sides, weights[1] * (sides / reference_sides).log()), dim=-1)


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (B, ..., 4) with their corners moved into pictures of sizes (B, 2): height, width."""
    ends = sizes.flip(1).repeat(1, 2)  # (B, 4): w, h, w, h
    ends = ends.view(len(sizes), *[1] * (boxes.dim() - 2), 4)
    return boxes.clamp(min=0).minimum(ends)


def not_smaller(boxes: Tensor, side_px: float) -> Tensor:
    """(...) whether both sides of each box (..., 4) are at least `side_px`; False for a box that is NaN."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return (sides >= side_px).all(-1)
