"""Batches by their number: what a training sees is decided by its seed alone, and made while it computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch

from engines.train import augment
from engines.train.augment import Augmentation, augmented
from engines.train.canvas import Packing, packed
from engines.train.loop import Batch
from engines.train.synthetic import Still, picture
from engines.train.target import Sample

Draw = Callable[[np.random.Generator], Sample]
"""Gives a picture by chance."""


def numbered(draw: Draw, size: int, seed: int, first: int = 0) -> Callable[[int], Batch]:
    """Batches of so many pictures of one size; the same seed and number give the same batch, in any order.

    Args:
        draw: gives the pictures.
        size: how many a batch.
        seed: all chance.
        first: of the pictures of a larger batch, whose others are made elsewhere, the number of the first one here.
    """

    def batch(number: int) -> Batch:
        return collated([draw(np.random.default_rng((seed, number, at))) for at in range(first, first + size)])

    return batch


def drawn(how: Still, augmentation: Augmentation, mirror: Sequence[int]) -> Draw:
    """Pictures of drawn people."""
    return lambda rng: augmented(picture(how, rng), augmentation, mirror, rng)


def canvases(any_one: Draw, how: Packing, augmentation: Augmentation, mirror: Sequence[int]) -> Draw:
    """Canvases packed with crops of pictures."""
    keypoints = len(mirror)

    def draw(rng: np.random.Generator) -> Sample:
        canvas = packed(lambda: any_one(rng), how, rng, mirror, keypoints)
        return augmented(canvas, augmentation, mirror, rng)

    return draw


def turned(any_one: Draw, share: float, degrees: float, side_max_px: int = 360) -> Draw:
    """Pictures some of which, reduced to a side at most, are turned about their middle by up to so many degrees."""

    def draw(rng: np.random.Generator) -> Sample:
        sample = any_one(rng)
        if rng.random() >= share:
            return sample
        sample = augment.resized(sample, _scaled(sample, min(1.0, side_max_px / max(sample.target.size_hw))))
        size_hw = sample.target.size_hw
        return augment.transformed(
            sample, augment.turning(rng.uniform(-degrees, degrees), 1.0, (0.0, 0.0), size_hw), size_hw
        )

    return draw


def plain(
    any_one: Draw,
    size_hw: tuple[int, int],
    scale: tuple[float, float],
    augmentation: Augmentation,
    mirror: Sequence[int],
) -> Draw:
    """Whole pictures, or parts of them, half of them mirrored; at scale 1 a picture just fits into size_hw."""

    def draw(rng: np.random.Generator) -> Sample:
        sample = any_one(rng)
        fit = min(new / old for new, old in zip(size_hw, sample.target.size_hw, strict=True))
        sample = augment.resized(sample, _scaled(sample, fit * math.exp(rng.uniform(*np.log(scale)))))
        y, x = (
            int(rng.integers(max(0, old - new) + 1)) for new, old in zip(size_hw, sample.target.size_hw, strict=True)
        )
        sample = augment.cropped(sample, x, y, size_hw)
        if rng.random() < 0.5:
            sample = augment.mirrored(sample, mirror)
        return augmented(sample, augmentation, mirror, rng)

    return draw


def mixed(first: Draw, second: Draw, second_share: float) -> Draw:
    """Pictures of two kinds, so many of the second."""
    return lambda rng: (second if rng.random() < second_share else first)(rng)


def collated(samples: Sequence[Sample]) -> Batch:
    """Pictures of one size as (B, 3, H, W) in 0..1, channels last in memory.

    Raises:
        ValueError: they are of several sizes.
    """
    sizes = {sample.target.size_hw for sample in samples}
    if len(sizes) != 1:
        raise ValueError(
            f"pictures of a batch are {' and '.join(f'{w} x {h}' for h, w in sorted(sizes))}; expected one size"
        )
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return Batch(pixels.permute(0, 3, 1, 2).float() / 255, [sample.target for sample in samples])


class Ahead:
    """Batches made by another thread while the last one is learned from; pictures are decoded without Python's lock."""

    def __init__(self, batches: Callable[[int], Batch], ahead: int = 2) -> None:
        """Take batches from a function; so many are made before they are asked for, in the order of their numbers."""
        self._batches, self._ahead = batches, ahead
        self._pool = ThreadPoolExecutor(1, "batches")
        self._made: dict[int, Future[Batch]] = {}

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, number: int) -> Batch:
        """The batch of a number."""
        wanted = range(number, number + self._ahead + 1)
        self._made = {at: made for at, made in self._made.items() if at in wanted}
        for at in wanted:
            if at not in self._made:
                self._made[at] = self._pool.submit(self._batches, at)
        return self._made.pop(number).result()


def _scaled(sample: Sample, scale: float) -> tuple[int, int]:
    height, width = sample.target.size_hw
    return max(1, round(height * scale)), max(1, round(width * scale))
