"""Heat maps to keypoints: where each map is highest when stretched over its person, and how sure that is.

Letters: N people, K keypoints, h = w = 56 cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engines.model.peaks import peaks
from engines.model.transfer import to_device, to_host

_WINDOW = 2
"""Cells to each side of a keypoint's pixel that count as being there."""
_NOT_FINITE, _UNSURE = -1.0, 0.0
"""Said of a peak beside the numbers of it: its map is not finite; another place may be higher."""


class Points(NamedTuple):
    """The keypoints of N people; tensors of the host."""

    xy: Tensor
    """(N, K, 2) pixels of the network's input."""
    logits: Tensor
    """(N, K) the stretched map's logit there."""
    confidence: Tensor
    """(N, K) in 0..1 the share of the map's softmax that lies within two cells of it and of its pixel."""
    finite: Tensor
    """(N,) False: a heat map of the person is not finite, and the person's other values are undefined."""


def keypoints(groups: Sequence[tuple[Tensor, Tensor]], exact: bool = True, on_cpu: bool | None = None) -> Points:
    """The keypoints of N people, who come in one group or more.

    The device is asked once, and again only where a GPU was not sure of a map: a CPU looks into those.

    Args:
        groups: of each group (n, K, h, w) heat-map logits; and (n, 4) its people, in pixels of the network's input,
            a tensor of the host. Each group holds somebody, and all are on one device.
        exact: see `peaks`.
        on_cpu: see `peaks`.
    """
    found = to_host(torch.cat([_seen(maps, boxes, exact, on_cpu) for maps, boxes in groups]))
    person, keypoint = (found[..., 4] == _UNSURE).nonzero().unbind(1)
    if len(person):
        each = [heats for maps, _ in groups for heats in maps]
        heats = torch.stack([each[n][k] for n, k in zip(person.tolist(), keypoint.tolist(), strict=True)])
        boxes = torch.cat([boxes for _, boxes in groups])[person]
        found[person, keypoint] = _seen(to_host(heats)[:, None], boxes, exact)[:, 0]
    return Points(found[..., :2], found[..., 2], found[..., 3], found[:, 0, 4] != _NOT_FINITE)


def _seen(maps: Tensor, boxes: Tensor, exact: bool = True, on_cpu: bool | None = None) -> Tensor:
    """(N, K, 5) x, y, logit, confidence where stretched maps (N, K, h, w) are highest; 1, `_UNSURE` or `_NOT_FINITE`.

    A GPU is asked nothing. Maps that are not finite go through it like the rest, for no index depends on them.
    """
    at, logits, sure = peaks(maps, _sides(boxes).ceil(), exact, on_cpu)
    finite = maps.flatten(1).sum(1, keepdim=True).isfinite()  # NaN and infinity survive a sum
    sure = sure.to(maps.dtype).masked_fill(~finite, _NOT_FINITE)
    return torch.cat((_described(maps, boxes, at, logits), sure[..., None]), -1)


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=1)


def _described(maps: Tensor, boxes: Tensor, at: Tensor, logits: Tensor) -> Tensor:
    """(N, K, 4) x, y, logit and confidence of the pixels (N, K, 2) of stretched maps (N, K, h, w)."""
    sides = _sides(boxes)
    pixels = sides.ceil()
    cells = torch.tensor([maps.shape[3], maps.shape[2]])
    # Where a pixel is wider than a cell, all of it is the place, not just its middle.
    wider = (cells / pixels - 1).clamp(min=0) / 2
    reach = [2 * _WINDOW + 1 + math.ceil(2 * most) for most in wider.amax(0).tolist()]
    known = torch.stack((sides / pixels, cells / pixels, boxes[:, :2], wider))[:, :, None]  # (4, N, 1, 2)
    to_xy, to_cell, origin, wider = to_device(known, maps.device)
    at = at + 0.5
    middle = at * to_cell
    first, last = (middle - wider).floor() - _WINDOW, (middle + wider).floor() + _WINDOW
    confidence = _share_within(maps, first, last, reach)
    return torch.cat((at * to_xy + origin, logits[..., None], confidence[..., None]), -1)


def _share_within(maps: Tensor, first: Tensor, last: Tensor, reach: Sequence[int]) -> Tensor:
    """(N, K) share of the softmax of maps (N, K, h, w) from cell first through cell last (N, K, 2: x, y).

    Along x and y there are at most `reach` cells from first through last.
    """
    _, _, h, w = maps.shape
    shares = maps.flatten(2).softmax(2)
    (x, in_x), (y, in_y) = (
        _cells(first[..., axis, None], last[..., axis, None], reach[axis], count) for axis, count in enumerate((w, h))
    )
    which = (y * w)[..., :, None] + x[..., None, :]
    inside = in_y[..., :, None] & in_x[..., None, :]
    return (shares.gather(2, which.flatten(2)) * inside.flatten(2)).sum(2).clamp(max=1)


def _cells(first: Tensor, last: Tensor, reach: int, count: int) -> tuple[Tensor, Tensor]:
    """(N, K, reach) cell indices first ... first + reach - 1, clamped to the map; mask of those inside, <= last."""
    cells = first.long() + torch.arange(reach, device=first.device)
    there = cells.clamp(0, count - 1)
    return there, (cells == there) & (cells <= last)
