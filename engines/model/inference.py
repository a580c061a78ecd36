"""Network input to people: the parts of the network, and the glue between them.

The glue asks the device but twice a batch: where the people are, and when all is done where their keypoints are;
a third time for the rare keypoint that had to be looked for pixel by pixel.
Letters: B pictures, P proposals and D people a picture at most, N people of all pictures, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engines.model.features import Features
from engines.model.found import Finder, Found
from engines.model.heatmap import Points, keypoints
from engines.model.monte_carlo import MonteCarlo
from engines.model.roi import detect
from engines.model.roi_align import Pyramid, roi_align
from engines.model.rpn import propose
from engines.model.transfer import to_device, to_host

BOX_CELLS = 7
"""Side of the box head's RoI features."""
KEYPOINT_CELLS = 14
"""Side of the keypoint head's RoI features."""
_ROUNDS = 16
"""Rounds of suppression on a GPU before it is asked whether they were enough; on clips at most 8 were needed."""
_PEOPLE_AT_ONCE = 64
"""People in one call of the keypoint head: bounds its memory."""


@dataclass(frozen=True)
class ProposalFinder(Finder):
    """Finds people with a Keypoint R-CNN."""

    exact_peaks: bool = True
    """False: keypoints are looked for around the highest cells of their heat maps alone; see `peaks`."""
    rounds: int | None = None
    """Rounds of suppression before the device is asked whether it converged; None: `_ROUNDS`, on a CPU after each."""

    monte_carlo: MonteCarlo | None = None
    """How keypoints are asked for again and again; None: they are asked for once."""

    def find(self, images: Tensor, sizes: Tensor, seeds: Sequence[int] = ()) -> Found:
        """The people of pictures; see `Finder.find`."""
        seen = Features.of(self.parts.run["features"](images), len(self.architecture.anchor_px))
        pyramid = Pyramid.of(seen.levels, self.architecture.level_first - self.architecture.keypoint_levels)
        rounds = self.rounds or (None if images.device.type == "cpu" else _ROUNDS)
        image, boxes, scores, converged = self._detect(seen, pyramid, images, sizes, rounds)
        if not converged:
            image, boxes, scores, _ = self._detect(seen, pyramid, images, sizes, None)
        points = self._keypoints(pyramid, image, boxes)
        how = self.monte_carlo
        spread = self._spread(pyramid, image, boxes, how, seeds or range(len(images))) if how else None
        finite = points.finite if spread is None else points.finite & spread.isfinite().all(2).all(1)
        return Found(
            image[finite],
            boxes[finite],
            scores[finite],
            points.xy[finite],
            points.logits[finite],
            points.confidence[finite],
            dropped=len(finite) - int(finite.sum()),
            spread=None if spread is None else spread[finite],
        )

    def _detect(
        self, seen: Features, pyramid: Pyramid, images: Tensor, sizes: Tensor, rounds: int | None
    ) -> tuple[Tensor, Tensor, Tensor, bool]:
        """(N,) pictures, (N, 4) boxes, (N,) scores on the host; and whether suppression converged."""
        proposals = propose(seen, (images.shape[2], images.shape[3]), sizes, self.architecture, rounds)
        image = torch.arange(len(images), device=images.device).repeat_interleave(proposals.valid.shape[1])
        finest = self.architecture.keypoint_levels
        roi_features = self._roi_features(pyramid, proposals.boxes.flatten(0, 1), image, BOX_CELLS, finest)
        logits, deltas = self.parts.run["box_head"](roi_features)
        people = detect(logits, deltas, proposals, sizes, self.limits, rounds)
        batch, count = people.scores.shape
        flat = to_host(
            torch.cat((people.boxes.flatten(), people.scores.flatten(), people.converged.view(1).to(people.boxes)))
        )
        boxes, scores, converged = flat[: -batch * count - 1], flat[-batch * count - 1 : -1], flat[-1]
        exists = scores >= 0
        image = torch.arange(batch).repeat_interleave(count)
        return image[exists], boxes.view(-1, 4)[exists], scores[exists], bool(converged)

    def _keypoints(self, pyramid: Pyramid, image: Tensor, boxes: Tensor) -> Points:
        groups = [slice(start, start + _PEOPLE_AT_ONCE) for start in range(0, len(boxes), _PEOPLE_AT_ONCE)]
        if not groups:
            none = torch.zeros(0, self.architecture.keypoints)
            return Points(none[..., None].expand(*none.shape, 2), none, none, torch.ones(0, dtype=torch.bool))
        # To ask a CPU costs nothing, so there the maps of but one group are held.
        at_once = 1 if pyramid.cells.device.type == "cpu" else len(groups)
        pieces = [
            keypoints(
                [(self._maps(pyramid, image[some], boxes[some]), boxes[some]) for some in groups[at : at + at_once]],
                self.exact_peaks,
            )
            for at in range(0, len(groups), at_once)
        ]
        return Points(*(torch.cat(each) for each in zip(*pieces, strict=True)))

    def _maps(self, pyramid: Pyramid, image: Tensor, boxes: Tensor) -> Tensor:
        (maps,) = self.parts.run["keypoint_head"](self._keypoint_features(pyramid, image, boxes))
        return maps.float()

    def _spread(self, pyramid: Pyramid, image: Tensor, boxes: Tensor, how: MonteCarlo, seeds: Sequence[int]) -> Tensor:
        """(N, K, 2) standard deviation of keypoints over the passes; not finite where a pass has no keypoints."""
        factors = how.factors(image, self.architecture.channels, seeds)
        pieces = [torch.zeros(0, self.architecture.keypoints, 2)]
        for start in range(0, len(boxes), _PEOPLE_AT_ONCE):
            some = slice(start, start + _PEOPLE_AT_ONCE)
            roi_features = self._keypoint_features(pyramid, image[some], boxes[some])
            asked = []
            for factor in to_device(factors[:, some], pyramid.cells.device).to(roi_features.dtype):
                (maps,) = self.parts.run["keypoint_head"](roi_features * factor[..., None, None])
                points = keypoints([(maps.float(), boxes[some])], exact=False)
                asked.append(points.xy.masked_fill(~points.finite[:, None, None], torch.inf))
            pieces.append(torch.stack(asked).std(0, unbiased=False))
        return torch.cat(pieces)

    def _keypoint_features(self, pyramid: Pyramid, image: Tensor, boxes: Tensor) -> Tensor:
        device = pyramid.cells.device
        return self._roi_features(pyramid, to_device(boxes, device), to_device(image, device), KEYPOINT_CELLS)

    def _roi_features(self, pyramid: Pyramid, boxes: Tensor, image: Tensor, bins: int, finest: int = 0) -> Tensor:
        return roi_align(pyramid, boxes, image, bins, self.architecture.roi_aligned, finest)
