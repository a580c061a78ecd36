"""Where heat maps, stretched by bicubic interpolation, are highest: exactly, without stretching them.

All stretched pixels that lie between the same cells form a patch; a patch depends on 4x4 cells. Only patches that
could hold the highest pixel are computed: those whose bound is not below a pixel that is known already.
Letters: N people, K = 17 keypoints, h = w = 56 cells, M patches of any maps, n x m pixels a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.transfer import to_device

_PATCHES = 52
"""Patches a map that a GPU looks into before it is asked: enough for 999 of 1000 maps of photographs."""
_PIXELS_MAX = 1 << 22
"""Stretched pixels in memory at once."""
_A = -0.75
"""torch's bicubic kernel."""
_WIDTH_MAX = 1 << 20
"""Above any width in pixels."""
_OUTER, _TILT = 3 / 16, 0.02406
"""How much of the differences between cells a pixel can add: see `_highest`."""


class Peaks(NamedTuple):
    """The highest pixels of N x K stretched maps; of equals the first in reading order."""

    at: Tensor
    """(N, K, 2) x and y in stretched pixels."""
    logits: Tensor
    """(N, K) what the stretched maps are there."""
    sure: Tensor
    """(N, K) False: another pixel may be higher. Always True on a CPU."""


class _Best(NamedTuple):
    """The highest pixel of each of M patches."""

    of: Tensor
    """(M,) which of the N x K maps."""
    logit: Tensor
    """(M,)."""
    place: Tensor
    """(M,) y * _WIDTH_MAX + x: rises in reading order."""


@dataclass(frozen=True)
class _Axis:
    """One axis of the stretched maps of N people, cut into h + 1 patches where cells begin."""

    shares: Tensor
    """(4, N, pixels) what each pixel takes of the four cells around it."""
    first: Tensor
    """(N, h + 1) first pixel of each patch."""
    count: Tensor
    """(N, h + 1) pixels of each patch; 0 is common where there are fewer pixels than cells."""
    count_max: int
    some_empty: bool

    @staticmethod
    def both(sizes: Tensor, cells: tuple[int, int], device: torch.device) -> tuple[_Axis, _Axis]:
        """Cut the x and y axes of (N, 2) so many pixels, a tensor of the host, and so many cells each."""
        people, most = len(sizes), max(cells)
        pixels = sizes.T.flatten()
        scale = torch.tensor(cells).repeat_interleave(people) / pixels
        pixel = torch.arange(int(pixels.max()))
        place = scale[:, None] * (pixel + 0.5) - 0.5
        left = torch.floor(place)  # the cell to the left of each pixel, from -1 on
        shares = _cubic(place - left)
        left[pixel >= pixels[:, None]] = most
        edges = torch.arange(-1, most + 1, dtype=left.dtype).expand(len(pixels), -1).contiguous()
        first = torch.searchsorted(left, edges)
        count = first.diff()
        shares, first, there = (to_device(each, device) for each in (shares, first, count))

        def axis(mine: slice, side: int) -> _Axis:
            patches = count[mine, : side + 1]
            return _Axis(
                shares[:, mine],
                first[mine, : side + 1],
                there[mine, : side + 1],
                count_max=int(patches.max()),
                some_empty=bool((patches == 0).any()),
            )

        return axis(slice(people), cells[0]), axis(slice(people, None), cells[1])

    def inside(self, person: Tensor, patch: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (n, M) of patches (M,), the last one again at the end; their shares (4, n, M)."""
        last = self.count[person, patch] - 1
        step = torch.arange(self.count_max, device=patch.device)[:, None]
        pixel = self.first[person, patch] + step.minimum(last.clamp(min=0))
        return pixel, self.shares[:, person, pixel]


@dataclass(frozen=True)
class _Maps:
    """The maps of N people, ready to be looked into."""

    padded: Tensor
    """(N, K, h + 4, w + 4) with their edges again outside."""
    across: _Axis
    down: _Axis

    def bounds(self) -> Tensor:
        """(N * K, (h + 1) * (w + 1)) what no pixel of a patch passes; -inf for one without pixels."""
        bounds = _bounds(self.padded)
        if self.across.some_empty or self.down.some_empty:
            empty = (self.down.count == 0)[:, None, :, None] | (self.across.count == 0)[:, None, None]
            bounds.masked_fill_(empty, -torch.inf)
        return bounds.flatten(2).flatten(0, 1)

    def look(self, of: Tensor, patch: Tensor) -> _Best:
        """Give the highest pixels of patches (M,) of maps (M,)."""
        at_once = max(1, _PIXELS_MAX // (self.across.count_max * self.down.count_max))
        pieces = [self._look(*each) for each in zip(of.split(at_once), patch.split(at_once), strict=True)]
        return _Best(*(torch.cat(each) for each in zip(*pieces, strict=True))) if len(pieces) > 1 else pieces[0]

    def _look(self, of: Tensor, patch: Tensor) -> _Best:
        _, kinds, rows, columns = self.padded.shape
        person = torch.div(of, kinds, rounding_mode="floor")
        row, column = torch.div(patch, columns - 3, rounding_mode="floor"), patch % (columns - 3)
        x, x_share = self.across.inside(person, column)
        y, y_share = self.down.inside(person, row)
        four = torch.arange(4, device=of.device)
        steps = (four[:, None] * columns + four)[..., None]
        windows = self.padded.flatten()[of * (rows * columns) + row * columns + column + steps]  # (4, 4, M)
        pixels = _mix(windows, y_share, x_share)  # (n, m, M)
        logit, inside = pixels.flatten(0, 1).max(0)
        at_x = x.gather(0, (inside % len(x))[None])[0]
        at_y = y.gather(0, torch.div(inside, len(x), rounding_mode="floor")[None])[0]
        return _Best(of, logit, at_y * _WIDTH_MAX + at_x)


def peaks(maps: Tensor, sizes: Tensor, exact: bool = True) -> Peaks:
    """Give the highest pixels of stretched maps.

    A GPU is asked nothing: it looks into the most promising patches, and says where they do not settle a map. On a
    CPU all that could hold the highest pixel are looked into.

    Args:
        maps: (N, K, h, w).
        sizes: (N, 2) width and height in pixels that the maps of each person are stretched to; a tensor of the host.
        exact: False: look into the four patches around the highest cell alone, where nobody is smaller than the maps.
            The highest pixel is seldom elsewhere, and this takes a third of the time.
    """
    people, kinds, h, w = maps.shape
    padded = functional.pad(maps.flatten(0, 1), (2, 2, 2, 2), mode="replicate").unflatten(0, (people, kinds))
    across, down = _Axis.both(sizes, (w, h), maps.device)
    stretched = _Maps(padded, across, down)
    if exact or across.some_empty or down.some_empty:
        logits, place, sure = _highest_pixels(stretched)
    else:
        best = stretched.look(*_around_highest_cells(maps))
        logits, place = _first(best, people * kinds)
        sure = torch.ones_like(logits, dtype=torch.bool)
    at = torch.stack((place % _WIDTH_MAX, torch.div(place, _WIDTH_MAX, rounding_mode="floor")), -1)
    return Peaks(*(each.unflatten(0, (people, kinds)) for each in (at.to(maps.dtype), logits, sure)))


def _highest_pixels(stretched: _Maps) -> tuple[Tensor, Tensor, Tensor]:
    """(N * K,) logits and places of the highest pixels, and whether they are sure."""
    bounds = stretched.bounds()
    on_cpu = bounds.device.type == "cpu"
    promised, patch = bounds.topk(1 if on_cpu else _PATCHES, sorted=False)  # (N * K, P)
    of = torch.arange(len(bounds), device=bounds.device)[:, None].expand_as(patch)
    looked = stretched.look(of.flatten(), patch.flatten())
    looked = looked._replace(logit=looked.logit.masked_fill(promised.flatten() == -torch.inf, -torch.inf))
    logits, place = _first(looked, len(bounds))
    bounds.scatter_(1, patch, -torch.inf)
    if not on_cpu:
        return logits, place, bounds.amax(1) < logits
    rest = (bounds >= logits[:, None]).flatten().numpy().nonzero()[0]  # much quicker than torch's
    if len(rest):
        of, patch = (torch.from_numpy(each) for each in divmod(rest, bounds.shape[1]))
        others = stretched.look(of, patch)
        logits, place = _first(_Best(*(torch.cat(each) for each in zip(looked, others, strict=True))), len(bounds))
    return logits, place, torch.ones_like(logits, dtype=torch.bool)


def _around_highest_cells(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(M,) maps, and patches of them: the four that touch the highest cell of each map (N, K, h, w)."""
    w = maps.shape[-1]
    flat = maps.flatten(0, 1).flatten(1)
    # numpy's is ten times as quick as torch's on a CPU.
    cell = torch.from_numpy(flat.numpy().argmax(1)) if flat.device.type == "cpu" else flat.argmax(1)
    corner = torch.div(cell, w, rounding_mode="floor") * (w + 1) + cell % w
    four = torch.arange(4, device=maps.device)
    patch = corner[:, None] + torch.div(four, 2, rounding_mode="floor") * (w + 1) + four % 2
    of = torch.arange(len(cell), device=maps.device)[:, None].expand_as(patch)
    return of.flatten(), patch.flatten()


def _first(best: _Best, maps: int) -> tuple[Tensor, Tensor]:
    """(maps,) the highest logit of each map, and the first place in reading order where it is."""
    logits = best.logit.new_full((maps,), -torch.inf).scatter_reduce_(0, best.of, best.logit, "amax")
    place = torch.where(best.logit == logits[best.of], best.place, _WIDTH_MAX**2)
    return logits, place.new_full((maps,), _WIDTH_MAX**2).scatter_reduce_(0, best.of, place, "amin")


def _bounds(padded: Tensor) -> Tensor:
    """(N, K, h + 1, w + 1) what no pixel of a patch passes, from the cells (N, K, h + 4, w + 4) around it."""
    return _highest(*_limits(padded), -1)


def _limits(padded: Tensor) -> tuple[Tensor, Tensor]:
    """As `_highest` of the cells themselves, down the columns; and what no pixel falls below."""
    steps = padded.diff(dim=-2)
    before, between, after = steps[..., :-2, :], steps[..., 1:-1, :], steps[..., 2:, :].neg()
    cell1, cell2 = padded[..., 1:-2, :], padded[..., 2:-1, :]
    tilt = between.abs().mul_(_TILT)
    over, under = torch.maximum(before, after).clamp_(min=0), torch.minimum(before, after).clamp_(max=0)
    return (
        torch.maximum(cell1, cell2).add_(over, alpha=_OUTER).add_(tilt),
        torch.minimum(cell1, cell2).add_(under, alpha=_OUTER).sub_(tilt),
    )


def _highest(high: Tensor, low: Tensor, dim: int) -> Tensor:
    """Bound the bicubic curve between cells 1 and 2 of each four in a row, which lie between `low` and `high`.

    At share t it is p1 + t (p2 - p1) + 3/4 t (1 - t) ((1 - t) (p1 - p0) + t (p2 - p3)) + e (p1 - p2) with
    e = t (1 - t) (1 - 2 t) / 4, never above 0.02406.
    """
    count = high.shape[dim] - 3
    high1, high2 = (high.narrow(dim, at, count) for at in (1, 2))
    low0, low1, low2, low3 = (low.narrow(dim, at, count) for at in range(4))
    over_outer = torch.maximum(high1 - low0, high2 - low3).clamp_(min=0)
    over_inner = torch.maximum(high1 - low2, high2 - low1)
    return torch.maximum(high1, high2).add_(over_outer, alpha=_OUTER).add_(over_inner, alpha=_TILT)


def _mix(windows: Tensor, y_share: Tensor, x_share: Tensor) -> Tensor:
    """(n, m, M) pixels of windows (4, 4, M) by shares (4, n, M) and (4, m, M)."""
    columns = _weighted(windows[:, :, None], y_share[:, None])  # (4, n, M)
    return _weighted(columns[:, :, None], x_share[:, None])


def _weighted(four: Tensor, shares: Tensor) -> Tensor:
    total = four[0] * shares[0]
    for one, share in zip(four[1:], shares[1:], strict=True):
        total.addcmul_(one, share)
    return total


def _cubic(past: Tensor) -> Tensor:
    """(4, ...) shares of the four cells around points so far past the second. Source: torch's bicubic kernel."""
    near = torch.stack((past, 1 - past))
    far = near + 1
    inner = ((_A + 2) * near - (_A + 3)) * near * near + 1
    outer = ((_A * far - 5 * _A) * far + 8 * _A) * far - 4 * _A
    return torch.stack((outer[0], inner[0], inner[1], outer[1]))
