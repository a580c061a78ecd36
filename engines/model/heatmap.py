"""Heat maps to keypoints: exactly where a map, stretched over its person by bicubic interpolation, is highest.

torchvision stretches all 17 maps of a person to the person's size and looks for the highest pixel. Here only
pixels between cells that could hold it are computed: best bound first. All stretched pixels that lie between the same
cells form a patch; a patch depends on 4x4 cells. Letters: N people, K = 17 keypoints, h = w = 56 cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_FIRST_PATCHES = 24
"""Patches a map looked into at first: enough for nearly every map that has a peak."""
_PIXELS_MAX = 1 << 22
"""Stretched pixels in memory at once."""
_A = -0.75
"""torch's bicubic kernel."""
_WINDOW = 2
"""Cells to each side of a keypoint that count as being there."""


@dataclass(frozen=True)
class _Axis:
    """One axis of the stretched maps of N people, cut into h + 1 patches where cells begin."""

    first: Tensor
    """(N, h + 1) first pixel of each patch."""
    count: Tensor
    """(N, h + 1) pixels of each patch, often none if there are fewer pixels than cells."""
    scale: Tensor
    """(N,) cells a pixel."""
    count_max: int

    @staticmethod
    def of(pixels: Tensor, cells: int) -> _Axis:
        """Cut (N,) axes of so many pixels each; a tensor of the host."""
        scale = cells / pixels
        pixel = torch.arange(int(pixels.max()))
        left = torch.floor(scale[:, None] * (pixel + 0.5) - 0.5)  # the cell to the left of each pixel, from -1 on
        left[pixel >= pixels[:, None]] = cells
        edges = torch.arange(-1, cells + 1, dtype=left.dtype).expand(len(pixels), -1).contiguous()
        first = torch.searchsorted(left, edges)
        count = first.diff()
        return _Axis(first[:, :-1], count, scale, int(count.max()))

    def take(self, people: Tensor) -> _Axis:
        """Give those of the people named, on their device."""
        first, count, scale = (
            x.to(people.device, non_blocking=True)[people] for x in (self.first, self.count, self.scale)
        )
        return _Axis(first, count, scale, self.count_max)

    def pixels(self, patch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels (M, P, n) of patches (M, P), whether each is one, and its share (M, P, n, 4) of four cells."""
        step = torch.arange(self.count_max, device=patch.device)
        pixel = self.first.gather(1, patch)[..., None] + step
        exists = step < self.count.gather(1, patch)[..., None]
        past = self.scale[:, None, None] * (pixel + 0.5) - 0.5 - (patch[..., None] - 1)
        return pixel, exists, _cubic(past)


def keypoints(maps: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give the keypoints of N people.

    Args:
        maps: (N, K, h, w) heat-map logits, finite; N at least 1.
        boxes: (N, 4) the people, in pixels of the network's input; a tensor of the host.

    Returns:
        (N, K, 2) x, y in those pixels; (N, K) the stretched map's logit there; (N, K) in 0..1 the share of the map's
        softmax that lies within two cells of it.
    """
    people, kinds, h, w = maps.shape
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)
    pixels = sides.ceil()  # (N, 2): width, height of the stretched map
    at, logits = _peaks(maps.flatten(0, 1), _Axis.of(pixels[:, 0], w), _Axis.of(pixels[:, 1], h))
    at, logits = at.view(people, kinds, 2) + 0.5, logits.view(people, kinds)
    to_xy, to_cell, origin = (sides / pixels, torch.tensor([w, h]) / pixels, boxes[:, :2])
    xy = at * to_xy.to(at.device)[:, None] + origin.to(at.device)[:, None]
    return xy, logits, _share_near(maps, (at * to_cell.to(at.device)[:, None]).long())


def _share_near(maps: Tensor, cells: Tensor) -> Tensor:
    """(N, K) share of the softmax of maps (N, K, h, w) that lies around cells (N, K, 2: x, y)."""
    _, _, h, w = maps.shape
    shares = maps.flatten(2).softmax(2)
    near = torch.arange(-_WINDOW, _WINDOW + 1, device=maps.device)
    x, y = cells[..., :1] + near, cells[..., 1:] + near  # (N, K, 5)
    inside = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :]
    which = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    return (shares.gather(2, which.flatten(2)) * inside.flatten(2)).sum(2).clamp(max=1)


def _peaks(maps: Tensor, across: _Axis, down: _Axis) -> tuple[Tensor, Tensor]:
    """Highest pixel (M, 2: x, y) of each stretched map (M, h, w) and its value (M,)."""
    at = maps.new_empty((len(maps), 2))
    value = maps.new_empty(len(maps))
    todo = torch.arange(len(maps), device=maps.device)
    kinds = len(maps) // len(across.scale)
    patches = _FIRST_PATCHES
    while len(todo):
        left = []
        for some in todo.split(max(1, _PIXELS_MAX // (patches * across.count_max * down.count_max))):
            person = some // kinds
            at[some], value[some], sure = _look(maps[some], across.take(person), down.take(person), patches)
            left.append(some[~sure])
        todo = torch.cat(left)
        patches = min(patches * 8, (maps.shape[1] + 1) * (maps.shape[2] + 1))
    return at, value


def _look(maps: Tensor, across: _Axis, down: _Axis, patches: int) -> tuple[Tensor, Tensor, Tensor]:
    """As `_peaks`, in the most promising patches alone; and whether no other can hold the highest pixel."""
    padded = functional.pad(maps, (2, 2, 2, 2), mode="replicate")
    empty = (down.count == 0)[:, :, None] | (across.count == 0)[:, None]
    bounds = _bounds(padded).masked_fill_(empty, -torch.inf).flatten(1)
    rest = patches < bounds.shape[1]
    bound, which = bounds.topk(patches + rest, dim=1)
    which = which[:, :patches]
    columns = maps.shape[2] + 1
    row, column = torch.div(which, columns, rounding_mode="floor"), which % columns
    x, x_exists, x_share = across.pixels(column)
    y, y_exists, y_share = down.pixels(row)
    values = _mix(_windows(padded, row, column), y_share, x_share)
    values.masked_fill_(~(y_exists[..., :, None] & x_exists[..., None, :]), -torch.inf)
    best = values.flatten(1).amax(1)
    # Of equals the first pixel in reading order, as torch.argmax has it.
    order = (y * (1 << 16))[..., :, None] + x[..., None, :]
    first = torch.where(values == best[:, None, None, None], order, 1 << 32).flatten(1).amin(1)
    at = torch.stack((first % (1 << 16), torch.div(first, 1 << 16, rounding_mode="floor")), 1)
    sure = best > bound[:, -1] if rest else torch.ones_like(best, dtype=torch.bool)
    return at.to(maps.dtype), best, sure


def _bounds(padded: Tensor) -> Tensor:
    """(M, h + 1, w + 1) what no pixel of a patch passes, from the cells (M, h + 4, w + 4) around it.

    Of each axis, the two outer weights sum to -n with n in 0..3/16 and the inner two to 1 + n. Over both axes a value is
    therefore at most (1 + n)^2 inner maximum + n^2 corner maximum - 2 n (1 + n) minimum, which is greatest at n = 3/16.
    """
    highest, lowest = _over_pairs(padded, torch.maximum, 1), _over_pairs(padded, torch.minimum, 1)
    inner = highest[:, 1:-1, 1:-1]
    highest, lowest = _over_pairs(highest, torch.maximum, 2), _over_pairs(lowest, torch.minimum, 2)
    n = 3 / 16
    return inner * (1 + n) ** 2 + highest * n**2 - lowest * (2 * n * (1 + n))


def _over_pairs(x: Tensor, of: Callable[[Tensor, Tensor], Tensor], step: int) -> Tensor:
    """Combine each number of (M, h, w) with the one `step` to the right, then below."""
    x = of(x[:, :, :-step], x[:, :, step:])
    return of(x[:, :-step], x[:, step:])


def _windows(padded: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(M, P, 4, 4) cells around patches (M, P)."""
    four = torch.arange(4, device=padded.device)
    which = (row[..., None] + four)[..., :, None] * padded.shape[2] + (column[..., None] + four)[..., None, :]
    return padded.flatten(1).gather(1, which.flatten(1)).view(which.shape)


def _mix(windows: Tensor, y_share: Tensor, x_share: Tensor) -> Tensor:
    """(M, P, n, m) pixels of windows (M, P, 4, 4) by shares (M, P, n, 4) and (M, P, m, 4)."""
    rows = y_share @ windows  # (M, P, n, 4)
    return rows @ x_share.mT


def _cubic(past: Tensor) -> Tensor:
    """(..., 4) shares of the four cells around points so far past the second. Source: torch's bicubic kernel."""
    back = 1 - past

    def inner(x: Tensor) -> Tensor:
        return ((_A + 2) * x - (_A + 3)) * x * x + 1

    def outer(x: Tensor) -> Tensor:
        return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A

    return torch.stack((outer(past + 1), inner(past), inner(back), outer(back + 1)), -1)
