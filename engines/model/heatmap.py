"""Heat maps to keypoints: exactly where a map, stretched over its person by bicubic interpolation, is highest.

torchvision stretches all 17 maps of a person to the person's size and looks for the highest pixel. Here only
pixels between cells that could hold it are computed: best bound first. All stretched pixels that lie between the same
cells form a patch; a patch depends on 4x4 cells. Letters: N people, K = 17 keypoints, h = w = 56 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from engines.model.transfer import to_device, to_host

_PATCHES = 52
"""Patches a map that are looked into: enough for 999 of 1000 maps of photographs. (From 51 on topk selects faster.)"""
_PIXELS_MAX = 1 << 22
"""Stretched pixels in memory at once."""
_A = -0.75
"""torch's bicubic kernel."""
_WIDTH_MAX = 1 << 20
"""Above any width in pixels."""
_OUTER, _TILT = 3 / 16, 0.02406
"""How much of the differences between cells a pixel can add: see `_highest`."""
_WINDOW = 2
"""Cells to each side of a keypoint that count as being there."""
_UNSOUND, _UNSURE = -1.0, 0.0
"""Said of a peak beside the numbers of it: its map is not finite; another place may be higher."""


class Points(NamedTuple):
    """The keypoints of N people; tensors of the host."""

    xy: Tensor
    """(N, K, 2) pixels of the network's input."""
    logits: Tensor
    """(N, K) the stretched map's logit there."""
    confidence: Tensor
    """(N, K) in 0..1 the share of the map's softmax that lies within two cells of it."""
    sound: Tensor
    """(N,) False: a map of this person is not finite, and the rest means nothing."""


@dataclass(frozen=True)
class _Axis:
    """One axis of the stretched maps of N people, cut into h + 1 patches where cells begin."""

    pixels: Tensor
    """(N,) how many there are."""
    scale: Tensor
    """(N,) cells a pixel."""
    first: Tensor
    """(N, h + 1) first pixel of each patch."""
    count: Tensor
    """(N, h + 1) pixels of each patch; 0 is common where there are fewer pixels than cells."""
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
        return _Axis(pixels, scale, first[:, :-1], count, int(count.max()))

    def to(self, device: torch.device) -> _Axis:
        """Give it on a device."""
        pixels, scale, first, count = (to_device(x, device) for x in (self.pixels, self.scale, self.first, self.count))
        return _Axis(pixels, scale, first, count, self.count_max)

    def take(self, people: slice) -> _Axis:
        """Give that of some of the people."""
        return _Axis(self.pixels[people], self.scale[people], self.first[people], self.count[people], self.count_max)

    def inside(self, patch: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (n, N, K, P) of patches (N, K, P), the last one again at the end; their shares (4, n, N, K, P)."""
        flat = patch.flatten(1)
        last = self.count.gather(1, flat).view_as(patch) - 1
        step = torch.arange(self.count_max, device=patch.device)[:, None, None, None]
        pixel = self.first.gather(1, flat).view_as(patch) + step.minimum(last.clamp(min=0))
        place = self.scale[:, None, None] * (pixel + 0.5) - 0.5
        return pixel, _cubic(place - (patch - 1))


def keypoints(groups: Sequence[tuple[Tensor, Tensor]]) -> Points:
    """Give the keypoints of N people, who come in one group or more.

    The device is asked once, and again only where the most promising patches did not settle a map.

    Args:
        groups: of each group (n, K, h, w) heat-map logits; and (n, 4) its people, in pixels of the network's input,
            a tensor of the host. Each group holds somebody, and all are on one device.
    """
    found = to_host(torch.cat([_seen(maps, boxes) for maps, boxes in groups]))
    people, kinds = (found[..., 4] == _UNSURE).nonzero().unbind(1)
    if len(people):
        each = [heats for maps, _ in groups for heats in maps]
        heats = torch.stack([each[person][kind] for person, kind in zip(people.tolist(), kinds.tolist(), strict=True)])
        found[people, kinds, :4] = to_host(_seen_in_full(heats, torch.cat([boxes for _, boxes in groups])[people]))
    return Points(found[..., :2], found[..., 2], found[..., 3], found[:, 0, 4] != _UNSOUND)


def _seen(maps: Tensor, boxes: Tensor) -> Tensor:
    """(N, K, 5) x, y, logit and confidence where maps (N, K, h, w) promise most; 1 or `_UNSURE` or `_UNSOUND`.

    It asks the device nothing. What is not finite goes through it like the rest, for no place depends on it.
    """
    _, _, h, w = maps.shape
    pixels = _sides(boxes).ceil()  # (N, 2): width, height of the stretched map
    at, logits, sure = _peaks(maps, _Axis.of(pixels[:, 0], w), _Axis.of(pixels[:, 1], h))
    sound = maps.flatten(1).sum(1, keepdim=True).isfinite()  # NaN and infinity survive a sum
    sure = sure.to(maps.dtype).masked_fill(~sound, _UNSOUND)
    return torch.cat((_described(maps, boxes, at, logits), sure[..., None]), -1)


def _seen_in_full(heats: Tensor, boxes: Tensor) -> Tensor:
    """(M, 4) x, y, logit and confidence of single maps (M, h, w) of people (M, 4): looks at every pixel."""
    sizes = _sides(boxes).ceil().int().tolist()
    peaks = [_stretch(heat, (height, width)) for heat, (width, height) in zip(heats, sizes, strict=True)]
    at, logits = (torch.stack(each)[:, None] for each in zip(*peaks, strict=True))
    return _described(heats[:, None], boxes, at, logits)[:, 0]


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)


def _described(maps: Tensor, boxes: Tensor, at: Tensor, logits: Tensor) -> Tensor:
    """(N, K, 4) x, y, logit and confidence of the pixels (N, K, 2) of stretched maps (N, K, h, w)."""
    sides = _sides(boxes)
    pixels = sides.ceil()
    cells = torch.tensor([maps.shape[3], maps.shape[2]])
    to_xy, to_cell, origin = (
        to_device(x[:, None], maps.device) for x in (sides / pixels, cells / pixels, boxes[:, :2])
    )
    at = at + 0.5
    confidence = _share_near(maps, (at * to_cell).long())
    return torch.cat((at * to_xy + origin, logits[..., None], confidence[..., None]), -1)


def _share_near(maps: Tensor, cells: Tensor) -> Tensor:
    """(N, K) share of the softmax of maps (N, K, h, w) that lies around cells (N, K, 2: x, y)."""
    _, _, h, w = maps.shape
    shares = maps.flatten(2).softmax(2)
    near = torch.arange(-_WINDOW, _WINDOW + 1, device=maps.device)
    x, y = cells[..., :1] + near, cells[..., 1:] + near  # (N, K, 5)
    inside = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :]
    which = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    return (shares.gather(2, which.flatten(2)) * inside.flatten(2)).sum(2).clamp(max=1)


def _peaks(maps: Tensor, across: _Axis, down: _Axis) -> tuple[Tensor, Tensor, Tensor]:
    """Highest pixel (N, K, 2: x, y) that was found of each stretched map (N, K, h, w), its value (N, K), if sure."""
    pixels_each = maps.shape[1] * _PATCHES * across.count_max * down.count_max
    at_once = max(1, _PIXELS_MAX // pixels_each)
    across, down = across.to(maps.device), down.to(maps.device)
    starts = range(0, len(maps), at_once)
    groups = [slice(start, start + at_once) for start in starts]
    looks = [_look(maps[some], across.take(some), down.take(some)) for some in groups]
    at, value, sure = (torch.cat(each) for each in zip(*looks, strict=True))
    return at, value, sure


def _stretch(heat: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Highest pixel (2,) of one map (h, w) stretched to height and width, and its value (): looks at each."""
    pixels = functional.interpolate(heat[None, None], size, mode="bicubic", align_corners=False).flatten()
    which = pixels.argmax()
    return torch.stack((which % size[1], torch.div(which, size[1], rounding_mode="floor"))).to(heat.dtype), pixels[
        which
    ]


def _look(maps: Tensor, across: _Axis, down: _Axis) -> tuple[Tensor, Tensor, Tensor]:
    """As `_peaks`, in the most promising patches alone; and whether no other can hold the highest pixel (N, K)."""
    people, kinds, _, w = maps.shape
    padded = functional.pad(maps.flatten(0, 1), (2, 2, 2, 2), mode="replicate").unflatten(0, (people, kinds))
    empty = (down.count == 0)[:, None, :, None] | (across.count == 0)[:, None, None]
    bounds, which = _bounds(padded).masked_fill_(empty, -torch.inf).flatten(2).topk(_PATCHES, sorted=False)  # (N, K, P)
    row, column = torch.div(which, w + 1, rounding_mode="floor"), which % (w + 1)
    x, x_share = across.inside(column)
    y, y_share = down.inside(row)
    values = _mix(_windows(padded, row, column), y_share, x_share)  # (n, m, N, K, P): many patches beside each other
    highest = values.amax((0, 1)).masked_fill_(bounds == -torch.inf, -torch.inf)  # patches without pixels
    best = highest.amax(2)
    # Of equals the patch that begins first in reading order, and in it the first pixel, as torch.argmax has it.
    begins = y[0] * _WIDTH_MAX + x[0]
    winner = torch.where(highest == best[..., None], begins, _WIDTH_MAX**2).argmin(2, keepdim=True)
    inside = values.gather(-1, winner.expand(*values.shape[:-1], 1)).flatten(0, 1).argmax(0, keepdim=True)
    across_winner, down_winner = (each.gather(-1, winner.expand(*each.shape[:-1], 1)) for each in (x, y))
    at_x = across_winner.gather(0, inside % len(x))
    at_y = down_winner.gather(0, torch.div(inside, len(x), rounding_mode="floor"))
    return torch.stack((at_x, at_y), -1)[0, :, :, 0].to(maps.dtype), best, best > bounds.amin(2)


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


def _windows(padded: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """(4, 4, N, K, P) cells around patches (N, K, P)."""
    corner = row * padded.shape[-1] + column
    four = torch.arange(4, device=padded.device)
    steps = (four[:, None] * padded.shape[-1] + four).view(4, 4, 1, 1, 1)
    flat = padded.flatten(2)
    return flat.expand(4, 4, *flat.shape).gather(-1, corner + steps)


def _mix(windows: Tensor, y_share: Tensor, x_share: Tensor) -> Tensor:
    """(n, m, N, K, P) pixels of windows (4, 4, N, K, P) by shares (4, n, N, K, P) and (4, m, N, K, P)."""
    columns = _weighted(windows[:, :, None], y_share[:, None])  # (4, n, N, K, P)
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
