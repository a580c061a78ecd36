"""Network input to people: the parts of the network, and the glue between them.

The glue asks the device but once a batch: where the people are. Then their keypoints, and it is done.
Letters: B pictures, P proposals and D people a picture at most, N people of all pictures, K = 17 keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engines.backends.parts import Parts
from engines.model.architecture import Architecture
from engines.model.heatmap import keypoints
from engines.model.keypoint_rcnn import BOX_CELLS, KEYPOINT_CELLS, Features, K
from engines.model.roi import Limits, detect
from engines.model.roi_align import Pyramid, roi_align
from engines.model.rpn import propose

_ROUNDS = 32
"""Rounds of suppression on a GPU before it is asked whether they were enough; pictures need fewer."""
_PEOPLE_AT_ONCE = 64
"""People in one call of the keypoint head: bounds its memory."""


@dataclass(frozen=True)
class Found:
    """The N people of a batch, picture by picture, best first; pixels of the network's input; tensors of the host."""

    image: Tensor
    """(N,) which picture."""
    boxes: Tensor
    """(N, 4)."""
    scores: Tensor
    """(N,) in 0..1."""
    keypoints: Tensor
    """(N, K, 2)."""
    logits: Tensor
    """(N, K)."""
    confidence: Tensor
    """(N, K) in 0..1."""
    unsound: int
    """How many more there were, whose heat maps were not finite."""


@dataclass(frozen=True)
class Finder:
    """Finds people with one network."""

    parts: Parts
    architecture: Architecture
    limits: Limits

    def find(self, images: Tensor, sizes: Tensor) -> Found:
        """Give the people of pictures (B, 3, H, W), whose sizes (B, 2) without padding are height, width."""
        seen = self.parts.features(images)
        pyramid = Pyramid.of(seen.levels, self.architecture.level_first)
        rounds = None if images.device.type == "cpu" else _ROUNDS
        image, boxes, scores, settled = self._detect(seen, pyramid, images, sizes, rounds)
        if not settled:
            image, boxes, scores, _ = self._detect(seen, pyramid, images, sizes, None)
        starts = range(0, len(boxes), _PEOPLE_AT_ONCE)
        groups = [slice(start, start + _PEOPLE_AT_ONCE) for start in starts]
        pieces = [self._keypoints(pyramid, image[group], boxes[group]) for group in groups]
        none = torch.zeros(0, K)
        pieces = pieces or [(none[..., None].expand(0, K, 2), none, none, torch.ones(0, dtype=torch.bool))]
        xy, logits, confidence, sound = (torch.cat(piece) for piece in zip(*pieces, strict=True))
        return Found(
            image[sound], boxes[sound], scores[sound], xy, logits, confidence, unsound=len(sound) - int(sound.sum())
        )

    def _detect(
        self, seen: Features, pyramid: Pyramid, images: Tensor, sizes: Tensor, rounds: int | None
    ) -> tuple[Tensor, Tensor, Tensor, bool]:
        """(N,) pictures, (N, 4) boxes, (N,) scores on the host; and whether the rounds were enough."""
        proposals = propose(seen, (images.shape[2], images.shape[3]), sizes, self.architecture, rounds)
        image = torch.arange(len(images), device=images.device).repeat_interleave(proposals.alive.shape[1])
        cut_outs = self._cut(pyramid, proposals.boxes.flatten(0, 1), image, BOX_CELLS)
        people = detect(self.parts.box_head(cut_outs), proposals, sizes, self.limits, rounds)
        batch, count = people.scores.shape
        flat = torch.cat(
            (people.boxes.flatten(), people.scores.flatten(), people.settled.view(1).to(people.boxes))
        ).cpu()
        boxes, scores, settled = flat[: -batch * count - 1], flat[-batch * count - 1 : -1], flat[-1]
        exists = scores >= 0
        image = torch.arange(batch).repeat_interleave(count)
        return image[exists], boxes.view(-1, 4)[exists], scores[exists], bool(settled)

    def _keypoints(self, pyramid: Pyramid, image: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keypoints, logits and confidence of the sound ones of some people, and which are sound; all on the host."""
        device = pyramid.cells.device
        cut_outs = self._cut(pyramid, boxes.to(device), image.to(device), KEYPOINT_CELLS)
        maps = self.parts.keypoint_head(cut_outs).float()
        sound = maps.isfinite().flatten(1).all(1)
        if not (on_host := sound.cpu()).all():
            maps, boxes = maps[sound], boxes[on_host]
        xy, logits, confidence = keypoints(maps, boxes)
        return xy.cpu(), logits.cpu(), confidence.cpu(), on_host

    def _cut(self, pyramid: Pyramid, boxes: Tensor, image: Tensor, bins: int) -> Tensor:
        return roi_align(pyramid, boxes, image, bins, self.architecture.roi_aligned)
