"""Where heat maps, stretched by bicubic interpolation, are highest: exactly, without stretching them.

Only patches that could hold the highest pixel are looked into: those whose bound is not below a pixel that is known
already. Letters and patches: see `stretched`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.stretched import WIDTH_MAX, Best, Stretched

_PATCHES = 52
"""Patches a map that a GPU looks into before it is asked: enough for 999 of 1000 maps of photographs."""
_OUTER = 3 / 16
"""How much of the steps from the outer cells to the inner ones a pixel can add: see `_upper_bound`."""


class Peaks(NamedTuple):
    """The highest pixels of N x K stretched maps; of equals the first in reading order."""

    at: Tensor
    """(N, K, 2) x and y in stretched pixels."""
    logits: Tensor
    """(N, K) what the stretched maps are there."""
    sure: Tensor
    """(N, K) False: another pixel may be higher. Always True on a CPU."""


def peaks(maps: Tensor, sizes: Tensor, exact: bool = True, on_cpu: bool | None = None) -> Peaks:
    """The highest pixels of stretched maps.

    A GPU is asked nothing: it looks into the most promising patches, and says where they do not settle a map. On a
    CPU all that could hold the highest pixel are looked into.

    Args:
        maps: (N, K, h, w).
        sizes: (N, 2) width and height in pixels that the maps of each person are stretched to; a tensor of the host.
        exact: False: look around the highest cell alone, into the patches of the four pixels around its middle. The
            highest pixel is seldom elsewhere, and this takes a third of the time, or less.
        on_cpu: whether to do as on a CPU; None: where maps lie on one.
    """
    people, keypoints, _, _ = maps.shape
    stretched = Stretched.of(maps, sizes)
    if exact:
        logits, position, sure = _highest_pixels(stretched, maps.device.type == "cpu" if on_cpu is None else on_cpu)
    else:
        logits, position = _first(stretched.look(*stretched.around_highest_cells()), people * keypoints)
        sure = torch.ones_like(logits, dtype=torch.bool)
    at = torch.stack((position % WIDTH_MAX, torch.div(position, WIDTH_MAX, rounding_mode="floor")), -1)
    return Peaks(*(each.unflatten(0, (people, keypoints)) for each in (at.to(maps.dtype), logits, sure)))


def _highest_pixels(stretched: Stretched, on_cpu: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(N * K,) logits and positions of the highest pixels, and whether they are sure."""
    bounds = _patch_bounds(stretched)
    promised, patch = bounds.topk(1 if on_cpu else _PATCHES, sorted=False)  # (N * K, patches)
    of = torch.arange(len(bounds), device=bounds.device)[:, None].expand_as(patch)
    looked = stretched.look(of.flatten(), patch.flatten())
    looked = looked._replace(logit=looked.logit.masked_fill(promised.flatten() == -torch.inf, -torch.inf))
    logits, position = _first(looked, len(bounds))
    bounds.scatter_(1, patch, -torch.inf)
    if not on_cpu:
        return logits, position, bounds.amax(1) < logits
    rest = (bounds >= logits[:, None]).flatten().numpy().nonzero()[0]  # much quicker than torch's
    if len(rest):
        of, patch = (torch.from_numpy(each) for each in divmod(rest, bounds.shape[1]))
        others = stretched.look(of, patch)
        logits, position = _first(Best(*(torch.cat(each) for each in zip(looked, others, strict=True))), len(bounds))
    return logits, position, torch.ones_like(logits, dtype=torch.bool)


def _first(best: Best, maps: int) -> tuple[Tensor, Tensor]:
    """(maps,) the highest logit of each map, and the first position in reading order where it is."""
    logits = best.logit.new_full((maps,), -torch.inf).scatter_reduce_(0, best.of, best.logit, "amax")
    position = torch.where(best.logit == logits[best.of], best.position, WIDTH_MAX**2)
    return logits, position.new_full((maps,), WIDTH_MAX**2).scatter_reduce_(0, best.of, position, "amin")


def _patch_bounds(stretched: Stretched) -> Tensor:
    """(N * K, (h + 1) * (w + 1)) upper bound of the pixels of each patch; -inf for one without pixels."""
    maps = stretched.maps
    people, _, h, w = maps.shape
    padded = functional.pad(maps.flatten(0, 1), (2, 2, 2, 2), mode="replicate")
    bounds = _upper_bounds(padded.unflatten(0, maps.shape[:2]))
    if stretched.some_empty:
        empty = stretched.count == 0
        bounds.masked_fill_(empty[people:, None, : h + 1, None] | empty[:people, None, None, : w + 1], -torch.inf)
    return bounds.flatten(2).flatten(0, 1)


def _upper_bounds(padded: Tensor) -> Tensor:
    """(N, K, h + 1, w + 1) upper bound of the pixels of each patch, from padded cells (N, K, h + 4, w + 4)."""
    return _upper_bound(*_column_bounds(padded), -1)


def _column_bounds(padded: Tensor) -> tuple[Tensor, Tensor]:
    """Upper and lower bound of the interpolation along each column."""
    steps = padded.diff(dim=-2)
    before, after = steps[..., :-2, :], steps[..., 2:, :].neg()
    cell1, cell2 = padded[..., 1:-2, :], padded[..., 2:-1, :]
    over, under = torch.maximum(before, after).clamp_(min=0), torch.minimum(before, after).clamp_(max=0)
    return (
        torch.maximum(cell1, cell2).add_(over, alpha=_OUTER),
        torch.minimum(cell1, cell2).add_(under, alpha=_OUTER),
    )


def _upper_bound(high: Tensor, low: Tensor, dim: int) -> Tensor:
    """Upper bound of the bicubic curve between cells 1 and 2 of each four in a row, themselves in `low`..`high`.

    At share t it is (1 - s) p1 + s p2 + 3/4 t (1 - t) ((1 - t) (p1 - p0) + t (p2 - p3)) with
    s = t - t (1 - t) (1 - 2 t) / 4, which lies in 0..1 too: a mean of p1 and p2, and at most 3/16 of the larger step.
    """
    count = high.shape[dim] - 3
    high1, high2 = (high.narrow(dim, at, count) for at in (1, 2))
    low0, low3 = (low.narrow(dim, at, count) for at in (0, 3))
    over = torch.maximum(high1 - low0, high2 - low3).clamp_(min=0)
    return torch.maximum(high1, high2).add_(over, alpha=_OUTER)
