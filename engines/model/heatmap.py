"""Heat maps to keypoints: where each map is highest when stretched over its person, and how sure that is.

Letters: N people, K = 17 keypoints, h = w = 56 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engines.model.peaks import peaks
from engines.model.transfer import to_device, to_host

_WINDOW = 2
"""Cells to each side of a keypoint's pixel that count as being there."""
_UNSOUND, _UNSURE = -1.0, 0.0
"""Said of a peak beside the numbers of it: its map is not finite; another place may be higher."""


class Points(NamedTuple):
    """The keypoints of N people; tensors of the host."""

    xy: Tensor
    """(N, K, 2) pixels of the network's input."""
    logits: Tensor
    """(N, K) the stretched map's logit there."""
    confidence: Tensor
    """(N, K) in 0..1 the share of the map's softmax that lies within two cells of it and of its pixel."""
    sound: Tensor
    """(N,) False: a map of this person is not finite, and the rest means nothing."""


def keypoints(groups: Sequence[tuple[Tensor, Tensor]], exact: bool = True, on_cpu: bool | None = None) -> Points:
    """Give the keypoints of N people, who come in one group or more.

    The device is asked once, and again only where a GPU was not sure of a map: a CPU looks into those.

    Args:
        groups: of each group (n, K, h, w) heat-map logits; and (n, 4) its people, in pixels of the network's input,
            a tensor of the host. Each group holds somebody, and all are on one device.
        exact: see `peaks`.
        on_cpu: see `peaks`.
    """
    found = to_host(torch.cat([_seen(maps, boxes, exact, on_cpu) for maps, boxes in groups]))
    people, kinds = (found[..., 4] == _UNSURE).nonzero().unbind(1)
    if len(people):
        each = [heats for maps, _ in groups for heats in maps]
        heats = torch.stack([each[person][kind] for person, kind in zip(people.tolist(), kinds.tolist(), strict=True)])
        boxes = torch.cat([boxes for _, boxes in groups])[people]
        found[people, kinds] = _seen(to_host(heats)[:, None], boxes, exact)[:, 0]
    return Points(found[..., :2], found[..., 2], found[..., 3], found[:, 0, 4] != _UNSOUND)


def _seen(maps: Tensor, boxes: Tensor, exact: bool = True, on_cpu: bool | None = None) -> Tensor:
    """(N, K, 5) x, y, logit and confidence where stretched maps (N, K, h, w) are highest; 1, `_UNSURE` or `_UNSOUND`.

    It asks a GPU nothing. What is not finite goes through it like the rest, for no place depends on it.
    """
    at, logits, sure = peaks(maps, _sides(boxes).ceil(), exact, on_cpu)
    sound = maps.flatten(1).sum(1, keepdim=True).isfinite()  # NaN and infinity survive a sum
    sure = sure.to(maps.dtype).masked_fill(~sound, _UNSOUND)
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
    known = torch.stack((sides / pixels, cells / pixels, boxes[:, :2], wider))[:, :, None]  # (4, N, 1, 2)
    to_xy, to_cell, origin, wider = to_device(known, maps.device)
    at = at + 0.5
    middle = at * to_cell
    confidence = _share_within(maps, (middle - wider).floor() - _WINDOW, (middle + wider).floor() + _WINDOW)
    return torch.cat((at * to_xy + origin, logits[..., None], confidence[..., None]), -1)


def _share_within(maps: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(N, K) share of the softmax of maps (N, K, h, w) from cell first through cell last (N, K, 2: x, y)."""
    shares = maps.flatten(2).softmax(2).view_as(maps)
    within = []
    for axis, count in enumerate((maps.shape[3], maps.shape[2])):
        cells = torch.arange(count, device=maps.device, dtype=maps.dtype)
        within.append(((cells >= first[..., axis, None]) & (cells <= last[..., axis, None])).to(maps.dtype))
    columns, rows = within  # (N, K, w), (N, K, h)
    return ((rows[..., None, :] @ shares)[..., 0, :] * columns).sum(2).clamp(max=1)
