"""Does a backend give what the reference gives? Both are run on made pictures, and the differences are listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.backends.parts import Parts
from engines.model.architecture import Architecture
from engines.model.inference import Finder, Found
from engines.model.keypoint_rcnn import BOX_CELLS, KEYPOINT_CELLS, Features
from engines.model.roi import Limits
from engines.preprocess import to_input

FP32_MAX: Final = 1e-3
"""Largest difference of a backend that computes in fp32, as a share of the reference's largest value."""
FP16_MAX: Final = 0.03
"""The same of one that computes in fp16 or TF32, which round to ten bits at every layer."""
INT8_MAX: Final = 0.25
"""The same where parts compute in 8 bits: shows what is broken. What 8 bits cost is measured elsewhere."""
_FRAME_HW = (720, 1280)
_PICTURES = (1, 3)
_BOXES = (1, 100, 1000)
_PEOPLE = (1, 3, 17)
_LIMITS = Limits(score_min=0.0, people_max=5)
"""Nobody is in the pictures, so a good network is sure of nobody: those it is least unsure of are compared."""


@dataclass(frozen=True)
class Difference:
    """How far the backend is off in one kind of result."""

    what: str
    largest: float
    """In the result's own unit; infinite where shapes differ, NaN where something is no number."""
    relative: float
    """The same as a share of the reference's largest value."""


@dataclass(frozen=True)
class People:
    """How far the backend is off in the people of a picture. Each is compared with the one nearest to it."""

    found: int
    wanted: int
    boxes_px: float
    scores: float
    keypoints_px: float


@dataclass(frozen=True)
class Parity:
    """What was found out."""

    differences: tuple[Difference, ...]
    people: People
    relative_max: float

    @property
    def ok(self) -> bool:
        """Whether every part's results are within the limit.

        People are shown, not judged: all that follows the parts is the same code for every backend, and one person
        more or less is nothing wrong where a score lies on the threshold.
        """
        return all(self._within(one) for one in self.differences)

    def lines(self) -> list[str]:
        """Give a table to be printed."""
        rows = [
            f"{one.what:<36}{one.largest:>14.3g}{one.relative:>12.2e}{'' if self._within(one) else '  TOO FAR'}"
            for one in self.differences
        ]
        same = self.people.found == self.people.wanted
        count = f"{self.people.found} likeliest people, the reference finds {self.people.wanted}"
        off = (
            f": boxes {self.people.boxes_px:.3g} px, scores {self.people.scores:.3g}, "
            f"keypoints {self.people.keypoints_px:.3g} px off at most"
        )
        verdict = "agrees with the reference" if self.ok else "does NOT agree with the reference"
        return [
            f"{'result':<36}{'largest off':>14}{'relative':>12}",
            *rows,
            count + (off if same and self.people.found else ""),
            f"{verdict}; the limit is {self.relative_max:g} of the largest value",
        ]

    def problem(self) -> str:
        """Say in one line what is too far off."""
        far = [f"{one.what} by {one.relative:.2g}" for one in self.differences if not self._within(one)]
        return f"off by more than {self.relative_max:g} of the largest value: {', '.join(far)}"

    def _within(self, one: Difference) -> bool:
        return one.relative <= self.relative_max  # False for NaN


def limit_of(backend: str, device: torch.device) -> float:
    """Give the largest relative difference that is right for a backend, by its name."""
    rough = backend in ("graphs", "tensorrt") or (backend == "inductor" and device.type == "cuda")
    return FP16_MAX if rough else FP32_MAX


@torch.inference_mode()
def report(
    parts: Parts, reference: Parts, architecture: Architecture, device: torch.device, relative_max: float = FP32_MAX
) -> Parity:
    """Compare a backend with the reference, on pictures of the size that an HD video has in the network.

    Args:
        parts: the backend's.
        reference: those of `eager.build`, of the same weights.
        architecture: the network's.
        device: where both compute.
        relative_max: see `limit_of`.

    Raises:
        EngineError: the backend cannot run them.
    """
    batches = [to_input([_picture(seed) for seed in range(count)], architecture, device) for count in _PICTURES]
    differences = [
        one for batch in batches for one in _features(parts.features(batch.images), reference.features(batch.images))
    ]
    for count in _BOXES:
        cut_outs = _cut_outs(count, architecture.channels, BOX_CELLS, device)
        pairs = zip(("class logits", "box deltas"), parts.box_head(cut_outs), reference.box_head(cut_outs), strict=True)
        differences += [_difference(f"{what} of {count}", got, wanted) for what, got, wanted in pairs]
    for count in _PEOPLE:
        cut_outs = _cut_outs(count, architecture.channels, KEYPOINT_CELLS, device)
        got, wanted = parts.keypoint_head(cut_outs), reference.keypoint_head(cut_outs)
        differences.append(_difference(f"heat maps of {count}", got, wanted))
    found, wanted_people = (
        Finder(each, architecture, _LIMITS).find(batches[0].images, batches[0].sizes) for each in (parts, reference)
    )
    return Parity(tuple(differences), _people(found, wanted_people), relative_max)


def _picture(seed: int) -> NDArray[np.uint8]:
    """(H, W, 3) noise, and blobs of all sizes before it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: _FRAME_HW[0], : _FRAME_HW[1]]
    picture = rng.normal(128, 20, (*_FRAME_HW, 3))
    for _ in range(20):
        row, column = rng.uniform(0, 1, 2) * _FRAME_HW
        height, width = rng.uniform(20, 300), rng.uniform(20, 200)
        blob = np.exp(-(((y - row) / height) ** 2) - ((x - column) / width) ** 2)
        picture += blob[..., None] * rng.normal(0, 100, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _cut_outs(count: int, channels: int, cells: int, device: torch.device) -> Tensor:
    """(N, C, cells, cells), their memory channels last, as boxes are cut out."""
    made = torch.randn(count, cells, cells, channels, generator=torch.Generator().manual_seed(count))
    return made.permute(0, 3, 1, 2).to(device)


def _features(got: Features, wanted: Features) -> Iterator[Difference]:
    for kind in Features._fields:
        for at, (mine, other) in enumerate(zip(getattr(got, kind), getattr(wanted, kind), strict=True)):
            yield _difference(f"{kind} {at} of {len(other)}", mine, other)


def _difference(what: str, got: Tensor, wanted: Tensor) -> Difference:
    if got.shape != wanted.shape:
        return Difference(what, float("inf"), float("inf"))
    largest = float((got.float() - wanted.float()).abs().max())
    return Difference(what, largest, largest / max(float(wanted.abs().max()), 1e-12))


def _people(found: Found, wanted: Found) -> People:
    if not len(found.scores) or not len(wanted.scores):
        return People(len(found.scores), len(wanted.scores), 0.0, 0.0, 0.0)
    nearest = (found.boxes[:, None] - wanted.boxes).abs().amax(2).argmin(1)
    return People(
        len(found.scores),
        len(wanted.scores),
        float((found.boxes - wanted.boxes[nearest]).abs().max()),
        float((found.scores - wanted.scores[nearest]).abs().max()),
        float((found.keypoints - wanted.keypoints[nearest]).abs().max()),
    )
