"""Heat maps stretched by bicubic interpolation, but only in the patches that are looked into.

All stretched pixels that lie between the same cells form a patch; a patch depends on 4x4 cells.
Letters: N people, K = 17 keypoints, h = w = 56 cells, M patches of any maps, n x m pixels a patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engines.model.transfer import to_device

WIDTH_MAX = 1 << 20
"""Above any width in pixels."""
_PIXELS_MAX = 1 << 22
"""Stretched pixels in memory at once."""
_A = -0.75
"""torch's bicubic kernel."""


class Best(NamedTuple):
    """The highest pixel of each of M patches."""

    of: Tensor
    """(M,) which of the N x K maps."""
    logit: Tensor
    """(M,)."""
    place: Tensor
    """(M,) y * WIDTH_MAX + x: rises in reading order."""


@dataclass(frozen=True)
class Axis:
    """One axis of the stretched maps of N people, cut into h + 1 patches where cells begin."""

    pixels: Tensor
    """(N,) how many."""
    patch: Tensor
    """(N, pixels at most) in which patch each pixel lies."""
    shares: Tensor
    """(4, N, pixels at most) what each pixel takes of the four cells around it."""
    first: Tensor
    """(N, h + 1) first pixel of each patch."""
    count: Tensor
    """(N, h + 1) pixels of each patch; 0 is common where there are fewer pixels than cells."""
    count_max: int
    some_empty: bool

    @staticmethod
    def both(sizes: Tensor, cells: tuple[int, int], device: torch.device) -> tuple[Axis, Axis]:
        """Cut the x and y axes of (N, 2) so many pixels, a tensor of the host, and so many cells each."""
        people, most = len(sizes), max(cells)
        pixels = sizes.T.flatten()
        scale = torch.tensor(cells).repeat_interleave(people) / pixels
        pixel = torch.arange(int(pixels.max()))
        place = scale[:, None] * (pixel + 0.5) + 0.5  # patch 0 begins a cell before the middle of the first
        patch = torch.floor(place)
        shares = _cubic(place - patch)
        patch.masked_fill_(pixel >= pixels[:, None], most + 1)
        edges = torch.arange(most + 2, dtype=patch.dtype).expand(len(pixels), -1).contiguous()
        first = torch.searchsorted(patch, edges)
        count = first.diff()
        known = [to_device(each, device) for each in (pixels, patch.long(), shares, first, count)]

        def axis(mine: slice, side: int) -> Axis:
            pixels, patch, shares, first, there = known
            patches = count[mine, : side + 1]
            return Axis(
                pixels[mine],
                patch[mine],
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

    def beside(self, person: Tensor, cell: Tensor) -> Tensor:
        """(2, M) patches of the last pixel before the middle of cells (M,) and of the next one; none is empty."""
        pixels = self.pixels[person]
        middle = (cell + 0.5) * pixels / (self.count.shape[1] - 1) - 0.5
        after = torch.ceil(middle)
        return self.patch[person, torch.stack(((after - 1).clamp(min=0), after.minimum(pixels - 1))).long()]


@dataclass(frozen=True)
class Stretched:
    """The maps of N people, stretched only where they are looked into."""

    maps: Tensor
    """(N, K, h, w)."""
    across: Axis
    down: Axis

    @staticmethod
    def of(maps: Tensor, sizes: Tensor) -> Stretched:
        """Stretch maps (N, K, h, w) to sizes (N, 2): width and height in pixels, a tensor of the host."""
        return Stretched(maps, *Axis.both(sizes, (maps.shape[3], maps.shape[2]), maps.device))

    def around_highest_cells(self) -> tuple[Tensor, Tensor]:
        """(M,) maps, and patches of them: those of the four pixels around the middle of the highest cell of each."""
        people, kinds, _, w = self.maps.shape
        flat = self.maps.flatten(0, 1).flatten(1)
        # numpy's is ten times as quick as torch's on a CPU.
        cell = torch.from_numpy(flat.numpy().argmax(1)) if flat.device.type == "cpu" else flat.argmax(1)
        person = torch.arange(people, device=flat.device).repeat_interleave(kinds)
        row = self.down.beside(person, torch.div(cell, w, rounding_mode="floor"))
        column = self.across.beside(person, cell % w)
        patch = row[:, None] * (w + 1) + column  # (2, 2, M)
        return torch.arange(len(cell), device=flat.device).expand_as(patch).flatten(), patch.flatten()

    def look(self, of: Tensor, patch: Tensor) -> Best:
        """Give the highest pixels of patches (M,) of maps (M,)."""
        at_once = max(1, _PIXELS_MAX // (self.across.count_max * self.down.count_max))
        pieces = [self._look(*each) for each in zip(of.split(at_once), patch.split(at_once), strict=True)]
        return Best(*(torch.cat(each) for each in zip(*pieces, strict=True))) if len(pieces) > 1 else pieces[0]

    def _look(self, of: Tensor, patch: Tensor) -> Best:
        _, kinds, h, w = self.maps.shape
        person = torch.div(of, kinds, rounding_mode="floor")
        row, column = torch.div(patch, w + 1, rounding_mode="floor"), patch % (w + 1)
        x, x_share = self.across.inside(person, column)
        y, y_share = self.down.inside(person, row)
        around = torch.arange(-2, 2, device=of.device)[:, None]
        rows, columns = (row + around).clamp(0, h - 1), (column + around).clamp(0, w - 1)  # outside, edges go on
        windows = self.maps.flatten()[(of * (h * w) + rows * w)[:, None] + columns]  # (4, 4, M)
        pixels = _mix(windows, y_share, x_share)  # (n, m, M)
        logit, inside = pixels.flatten(0, 1).max(0)
        at_x = x.gather(0, (inside % len(x))[None])[0]
        at_y = y.gather(0, torch.div(inside, len(x), rounding_mode="floor")[None])[0]
        return Best(of, logit, at_y * WIDTH_MAX + at_x)


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
