"""Parity of a backend with the reference: both run on made pictures, and their differences are listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.model.architecture import Architecture
from engines.model.found import Found
from engines.model.network import Network
from engines.model.parts import Parts, PartSpec
from engines.model.roi import Limits
from engines.preprocess import to_input

_PICTURES = (1, 3)
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
        """Table to be printed."""
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
        """One line: which results are too far off."""
        far = [f"{one.what} by {one.relative:.2g}" for one in self.differences if not self._within(one)]
        return f"off by more than {self.relative_max:g} of the largest value: {', '.join(far)}"

    def _within(self, one: Difference) -> bool:
        return one.relative <= self.relative_max  # False for NaN


@torch.inference_mode()
def report(
    parts: Parts,
    reference: Parts,
    network: Network,
    architecture: Architecture,
    frame_hw: tuple[int, int] = (720, 1280),
    rows_max: int = 1000,
) -> Parity:
    """Compare a backend with the reference.

    Args:
        parts: the backend's.
        reference: those of `eager.build`, of the same weights.
        network: what both run.
        architecture: the network's, as the engine's mode has it.
        frame_hw: height and width of the frames that the pictures are made of.
        rows_max: rows in one call of the parts that take no pictures, at most.

    Raises:
        EngineError: the backend cannot run them.
    """
    batches = [
        to_input([_picture(frame_hw, seed) for seed in range(count)], architecture, parts.device) for count in _PICTURES
    ]
    differences: list[Difference] = []
    for name, part in network.parts().items():
        made = [batch.images for batch in batches] if part.takes_pictures else _rows(part, rows_max, parts.device)
        for rows in made:
            pairs = zip(part.results, parts.run[name](rows), reference.run[name](rows), strict=True)
            differences += [_difference(f"{what} of {len(rows)}", got, wanted) for what, got, wanted in pairs]
    found, wanted_people = (
        network.finder(each, architecture, _LIMITS).find(batches[0].images, batches[0].sizes)
        for each in (parts, reference)
    )
    return Parity(tuple(differences), _people(found, wanted_people), parts.tolerance)


def _picture(frame_hw: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """(H, W, 3) noise, and blobs of all sizes before it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: frame_hw[0], : frame_hw[1]]
    picture = rng.normal(128, 20, (*frame_hw, 3))
    for _ in range(20):
        row, column = rng.uniform(0, 1, 2) * frame_hw
        height, width = rng.uniform(20, 300), rng.uniform(20, 200)
        blob = np.exp(-(((y - row) / height) ** 2) - ((x - column) / width) ** 2)
        picture += blob[..., None] * rng.normal(0, 100, 3)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _rows(part: PartSpec, rows_max: int, device: torch.device) -> Iterator[Tensor]:
    """(N, *row) for several N, laid out channels last, as RoI features are."""
    channels, height, width = part.row_of((0, 0))
    for count in sorted({1, 3, min(part.rows.usual, rows_max)}):
        made = torch.randn(count, height, width, channels, generator=torch.Generator().manual_seed(count))
        yield made.permute(0, 3, 1, 2).to(device)


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
