"""Heat maps stretched by bicubic interpolation, but only in the patches that are looked into.

All stretched pixels that lie between the same cells form a patch; a patch depends on 4x4 cells.
Letters: N people, K keypoints, h = w = 56 cells, M patches of any maps.
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
    position: Tensor
    """(M,) y * WIDTH_MAX + x: rises in reading order."""


@dataclass(frozen=True)
class Stretched:
    """The maps of N people, stretched only where they are looked into.

    Each map has two axes, cut into patches where cells begin. Axes come as the x axes of all people and then the y
    axes: one pass over both costs little more than one over one.
    """

    maps: Tensor
    """(N, K, h, w)."""
    cells: Tensor
    """(2, 1) w and h."""
    pixels: Tensor
    """(2N,) how many each axis has."""
    patch: Tensor
    """(2N, pixels) in which patch each pixel lies."""
    shares: Tensor
    """(4, 2N, pixels) what each pixel takes of the four cells around it."""
    first: Tensor
    """(2N, patches) first pixel of each patch; there are as many patches as cells on the longer axis, and one more."""
    count: Tensor
    """(2N, patches) pixels of each patch; 0 is common where there are fewer pixels than cells."""
    count_max: tuple[int, int]
    """Pixels along x and y of a patch at most."""
    some_empty: bool
    """Whether a patch has none."""

    @staticmethod
    def of(maps: Tensor, sizes: Tensor) -> Stretched:
        """Stretch maps (N, K, h, w) to sizes (N, 2): width and height in pixels, a tensor of the host."""
        h, w = maps.shape[2:]
        pixels = sizes.T.flatten()
        cells = torch.tensor([[w], [h]])
        scale = (cells / sizes.T).flatten()
        pixel = torch.arange(int(sizes.max()) + 1)  # one more than there are: a patch without pixels may begin there
        position = scale[:, None] * (pixel + 0.5) + 0.5  # patch 0 begins a cell before the middle of the first
        patch = torch.floor(position)
        shares = _cubic(position - patch)
        patch.masked_fill_(pixel >= pixels[:, None], max(h, w) + 1)
        edges = torch.arange(max(h, w) + 2, dtype=patch.dtype).expand(len(pixels), -1).contiguous()
        first = torch.searchsorted(patch, edges)
        count = first.diff()
        wide, high = count.view(2, -1).amax(1).tolist()
        known = (cells, pixels, patch.long(), shares, first, count)
        cells, pixels, patch, shares, first, there = (to_device(each, maps.device) for each in known)
        some_empty = bool((count == 0).any())
        return Stretched(maps, cells, pixels, patch, shares, first, there, (wide, high), some_empty)

    def around_highest_cells(self) -> tuple[Tensor, Tensor]:
        """(M,) maps, and patches of them: those of the four pixels around the middle of the highest cell of each."""
        w = self.maps.shape[3]
        flat = self.maps.flatten(0, 1).flatten(1)
        # numpy's is ten times as quick as torch's on a CPU.
        cell = torch.from_numpy(flat.numpy().argmax(1)) if flat.device.type == "cpu" else flat.argmax(1)
        of = torch.arange(len(cell), device=cell.device)
        axis = self._axes(of)
        pixels = self.pixels[axis]
        middle = (torch.stack((cell % w, torch.div(cell, w, rounding_mode="floor"))) + 0.5) * pixels / self.cells - 0.5
        after = torch.ceil(middle)
        pixel = torch.stack(((after - 1).clamp(min=0), after.minimum(pixels - 1))).long()
        column, row = self.patch[axis, pixel].unbind(1)  # (2, M)
        patch = row[:, None] * (w + 1) + column  # (2, 2, M)
        return of.expand_as(patch).flatten(), patch.flatten()

    def look(self, of: Tensor, patch: Tensor) -> Best:
        """The highest pixel of each of the patches (M,) of maps (M,)."""
        at_once = max(1, _PIXELS_MAX // (self.count_max[0] * self.count_max[1]))
        pieces = [self._look(*each) for each in zip(of.split(at_once), patch.split(at_once), strict=True)]
        return Best(*(torch.cat(each) for each in zip(*pieces, strict=True))) if len(pieces) > 1 else pieces[0]

    def _look(self, of: Tensor, patch: Tensor) -> Best:
        _, _, h, w = self.maps.shape
        patch = torch.stack((patch % (w + 1), torch.div(patch, w + 1, rounding_mode="floor")))  # (2, M)
        axis = self._axes(of)
        last = (self.count[axis, patch] - 1).clamp(min=0)
        steps = torch.arange(max(self.count_max), device=of.device)[:, None, None].minimum(last)
        pixel = self.first[axis, patch] + steps  # (count, 2, M), of a patch with fewer the last one again
        shares = self.shares[:, axis, pixel]
        around = torch.arange(-2, 2, device=of.device)[:, None, None]
        columns, rows = (patch + around).clamp(min=0).minimum(self.cells - 1).unbind(1)  # outside, edges go on
        windows = self.maps.flatten()[(of * (h * w) + rows * w)[:, None] + columns]  # (4, 4, M)
        wide, high = self.count_max
        pixels = _mix(windows, shares[:, :high, 1], shares[:, :wide, 0])
        logit, inside = pixels.flatten(0, 1).max(0)
        x = pixel[:, 0].gather(0, (inside % wide)[None])[0]
        y = pixel[:, 1].gather(0, torch.div(inside, wide, rounding_mode="floor")[None])[0]
        return Best(of, logit, y * WIDTH_MAX + x)

    def _axes(self, of: Tensor) -> Tensor:
        """(2, M) which axes maps (M,) have."""
        people, keypoints, _, _ = self.maps.shape
        person = torch.div(of, keypoints, rounding_mode="floor")
        return torch.stack((person, person + people))


def _mix(windows: Tensor, y_share: Tensor, x_share: Tensor) -> Tensor:
    """(high, wide, M) pixels of windows (4, 4, M) by shares (4, high, M) and (4, wide, M)."""
    columns = _weighted(windows[:, :, None], y_share[:, None])  # (4, high, M)
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
