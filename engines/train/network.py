"""What a Keypoint R-CNN costs on labelled pictures: all its losses from one pass.

Letters: B pictures, R anchors, P proposals, N people of all pictures, K keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from engines.model import detection_losses, losses
from engines.model import targets as heat_maps
from engines.model.features import Features
from engines.model.inference import BOX_CELLS, KEYPOINT_CELLS
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.matching import People
from engines.model.roi_align import Pyramid, roi_align
from engines.model.rpn import anchors, propose
from engines.train.loop import Trainable
from engines.train.rounding import Rounding
from engines.train.target import Target


@dataclass(frozen=True, kw_only=True)
class LossSettings:
    """What is looked at, and how keypoints are to look."""

    anchors: int = 256
    """Anchors a picture that the proposal head is judged by."""
    proposals: int = 256
    """Proposals a picture that the box head is judged by."""
    positive_share: float = 0.25
    """At most this share of the proposals are people."""
    sigma_cells: float = 0.0
    """Deviation of a keypoint's target over the cells of its map; 0: one cell has it all."""
    jitter: float = 0.05
    """The edges of a person's box are moved by this deviation, a share of its sides, and at most by twice as much."""


class TrainedKeypointRCNN(Trainable):
    """Losses of a network by task: objectness, anchors, person, boxes, keypoints."""

    _mean: Tensor
    _std: Tensor

    def __init__(self, network: KeypointRCNN, settings: LossSettings, seed: int) -> None:
        """Share the network's weights; `seed` decides which anchors and proposals are looked at."""
        super().__init__()
        self.network = network
        self._parts = {name: part.module for name, part in network.parts().items()}  # no children: named once
        self._settings, self._seed = settings, seed
        self._generator = torch.Generator().manual_seed(seed)
        self._rounding: Rounding | None = None
        architecture = network.architecture
        self.register_buffer("_mean", torch.tensor(architecture.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(architecture.std).view(3, 1, 1), persistent=False)

    def round_from_now(self, passes: float) -> None:
        """Round weights, and in a share of the passes also what layers are given, while losses are computed."""
        self._rounding = self._rounding or Rounding(self.network, passes)

    def at_batch(self, number: int) -> None:
        """All chance follows from the number of the batch; see `Trainable`."""
        self._generator.manual_seed((self._seed << 32) + number)

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Losses by task; see `Trainable`. Weights, losses and RoI features are fp32 whatever the parts compute in."""
        if self._rounding is None:
            return self(images, targets)  # type: ignore[no-any-return]
        weights = {f"network.{name}": weight for name, weight in self._rounding.weights().items()}
        with self._rounding.inputs(self._generator):
            return functional_call(self, weights, (images, targets))  # type: ignore[no-any-return]

    def forward(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        """Losses by task, with the weights as they are."""
        network = self.network.architecture
        seen, image_hw = self._seen(images), (images.shape[2], images.shape[3])
        people = [_people(target, images.device) for target in targets]
        pyramid = Pyramid.of(seen.levels, network.level_first - network.keypoint_levels)
        return {
            **self._detection_losses(seen, image_hw, targets, people),
            "keypoints": self._keypoint_loss(targets, people, pyramid),
        }

    def _detection_losses(
        self, seen: Features, image_hw: tuple[int, int], targets: Sequence[Target], people: Sequence[People]
    ) -> dict[str, Tensor]:
        """Of the whole pictures; a collage teaches keypoints alone."""
        whole = [at for at, target in enumerate(targets) if not target.collage]
        if not whole:
            nothing = seen.levels[0].sum() * 0
            return dict.fromkeys(("objectness", "anchors", "person", "boxes"), nothing)
        if len(whole) < len(targets):
            seen = Features(*(tuple(part[whole] for part in group) for group in seen))
        theirs = [people[at] for at in whole]
        return {
            **self._proposal_losses(seen, image_hw, theirs),
            **self._box_losses(seen, image_hw, theirs),
        }

    @torch.no_grad()
    def keypoints_at(self, images: Tensor, boxes: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """(N, K, 2) keypoints, in pixels, that the keypoint head finds in boxes (N, 4) of each picture."""
        network = self.network.architecture
        pyramid = Pyramid.of(self._seen(images).levels, network.level_first - network.keypoint_levels)
        counts, where = [len(each) for each in boxes], torch.from_numpy(np.concatenate(boxes)).to(images.device)
        if not len(where):
            return [np.zeros((0, network.keypoints, 2), np.float32) for _ in boxes]
        maps = self._parts["keypoint_head"](self._roi_features(pyramid, where, counts, KEYPOINT_CELLS))[0].float()
        shares = maps.flatten(2).softmax(2).view(maps.shape)
        xy = heat_maps.from_cells(heat_maps.dark(shares, 1.0), where, (maps.shape[2], maps.shape[3]))
        return [each.cpu().numpy() for each in xy.split(counts)]

    def _seen(self, images: Tensor) -> Features:
        """Features and what the proposal head says of pictures in 0..1."""
        images = ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
        flat = self._parts["features"](images)
        return Features.of([part.float() for part in flat], len(self.network.architecture.anchor_px))

    def _proposal_losses(
        self, seen: Features, image_hw: tuple[int, int], people: Sequence[People]
    ) -> dict[str, Tensor]:
        shapes = [(level.shape[2], level.shape[3]) for level in seen.objectness]
        everywhere = anchors(shapes, image_hw, self.network.architecture).to(seen.objectness[0].device)
        objectness = torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in seen.objectness], 1)
        deltas = torch.cat([level.permute(0, 2, 3, 1).reshape(len(level), -1, 4) for level in seen.deltas], 1)
        found = [
            detection_losses.rpn(which, where, everywhere, theirs, self._generator, self._settings.anchors)
            for which, where, theirs in zip(objectness, deltas, people, strict=True)
        ]
        return {"objectness": _mean([each.which for each in found]), "anchors": _mean([each.where for each in found])}

    def _box_losses(self, seen: Features, image_hw: tuple[int, int], people: Sequence[People]) -> dict[str, Tensor]:
        sizes = torch.tensor([image_hw] * len(people), dtype=torch.float32, device=seen.levels[0].device)
        with torch.no_grad():
            detached = Features(*(tuple(part.detach() for part in group) for group in seen))
            proposals = propose(detached, image_hw, sizes, self.network.architecture, None)
        settings = self._settings
        sampled = [
            detection_losses.sample_proposals(
                boxes[there], theirs, self._generator, settings.proposals, settings.positive_share
            )
            for boxes, there, theirs in zip(proposals.boxes, proposals.valid, people, strict=True)
        ]
        network = self.network.architecture
        pyramid = Pyramid.of(seen.levels, network.level_first - network.keypoint_levels)
        counts, finest = [len(each.boxes) for each in sampled], network.keypoint_levels
        cells = self._roi_features(pyramid, torch.cat([each.boxes for each in sampled]), counts, BOX_CELLS, finest)
        judged = [part.float().split(counts) for part in self._parts["box_head"](cells)]
        found = [
            detection_losses.box_head(logits, deltas, chosen, theirs)
            for logits, deltas, chosen, theirs in zip(*judged, sampled, people, strict=True)
        ]
        return {"person": _mean([each.which for each in found]), "boxes": _mean([each.where for each in found])}

    def _keypoint_loss(self, labels: Sequence[Target], people: Sequence[People], pyramid: Pyramid) -> Tensor:
        """The loss of all labelled keypoints together, so each counts alike, however many people its picture shows."""
        device = pyramid.cells.device
        chosen = [torch.from_numpy((label.labelled > 0) & ~label.crowd) for label in labels]
        boxes = torch.cat([theirs.boxes[which.to(device)] for theirs, which in zip(people, chosen, strict=True)])
        if not len(boxes):
            return pyramid.cells.sum() * 0
        boxes = self._jittered(boxes)
        xy, weights = (
            torch.cat([torch.from_numpy(array)[which] for array, which in zip(arrays, chosen, strict=True)]).to(device)
            for arrays in ([label.keypoints for label in labels], [label.weights for label in labels])
        )
        cells = self._roi_features(pyramid, boxes, [int(which.sum()) for which in chosen], KEYPOINT_CELLS)
        (maps,) = self._parts["keypoint_head"](cells)
        maps = maps.float()
        cells_hw = (maps.shape[2], maps.shape[3])
        at = heat_maps.to_cells(xy, boxes, cells_hw)
        loss, inside = losses.one_hot(maps, at)
        if self._settings.sigma_cells:
            loss = losses.soft_cells(maps, heat_maps.soft_cells(at, cells_hw, self._settings.sigma_cells))
        return losses.mean(loss, weights * inside)

    def _roi_features(
        self, pyramid: Pyramid, boxes: Tensor, counts: Sequence[int], bins: int, finest: int = 0
    ) -> Tensor:
        image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(boxes.device)
        return roi_align(pyramid, boxes, image, bins, self.network.architecture.roi_aligned, finest)

    def _jittered(self, boxes: Tensor) -> Tensor:
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        noise = torch.randn(boxes.shape, generator=self._generator).to(boxes.device) * self._settings.jitter
        return boxes + sides * noise.clamp(-2 * self._settings.jitter, 2 * self._settings.jitter)


def _people(label: Target, device: torch.device) -> People:
    return People(torch.from_numpy(label.boxes).to(device), torch.from_numpy(label.crowd).to(device))


def _mean(each: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(each)).mean()
