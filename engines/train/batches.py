"""Batches by their number: what a training sees is decided by its seed alone, and made while it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from engines.model import targets
from engines.model.matching import People
from engines.train.augment import Augmentation, augmented
from engines.train.cache import Cache
from engines.train.canvas import Packing, packed
from engines.train.loop import Batch
from engines.train.synthetic import Still, picture
from engines.train.target import Sample, Target

Draw = Callable[[np.random.Generator], Sample]
"""Gives a picture by chance."""


def numbered(draw: Draw, size: int, seed: int) -> Callable[[int], Batch]:
    """Batches of so many pictures of one size; the same seed and number give the same batch, in any order.

    Args:
        draw: gives the pictures.
        size: how many a batch.
        seed: all chance.
    """

    def batch(number: int) -> Batch:
        return collated([draw(np.random.default_rng((seed, number, at))) for at in range(size)])

    return batch


def drawn(how: Still, augmentation: Augmentation, mirror: Sequence[int]) -> Draw:
    """Pictures of drawn people."""
    return lambda rng: augmented(picture(how, rng), augmentation, mirror, rng)


def canvases(cache: Cache, how: Packing, augmentation: Augmentation, mirror: Sequence[int]) -> Draw:
    """Canvases packed with people of the data set."""
    keypoints = len(mirror)

    def draw(rng: np.random.Generator) -> Sample:
        canvas = packed(lambda: cache.sample(int(rng.integers(len(cache)))), how, rng, mirror, keypoints)
        return augmented(canvas, augmentation, mirror, rng)

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


def people_of(target: Target, device: torch.device) -> People:
    """The boxes of a picture's people, for the losses of proposals and boxes."""
    return People(torch.from_numpy(target.boxes).to(device), torch.from_numpy(target.crowd).to(device))


def keypoints_of(target: Target, boxes: Tensor, whom: Tensor, cells_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What the heat maps of boxes should show.

    Args:
        target: of the picture.
        boxes: (N, 4) that the maps cover, pixels of the picture.
        whom: (N,) which person each stands for.
        cells_hw: size of the maps.

    Returns:
        (N, K, 2) keypoints in cells, and (N, K) their weights: 0 where not labelled or beyond the map.
    """
    xy = torch.from_numpy(target.keypoints).to(boxes.device)[whom]
    xy_cells = targets.to_cells(xy, boxes, cells_hw)
    _, inside = targets.one_hot(xy_cells, cells_hw)
    return xy_cells, torch.from_numpy(target.weights).to(boxes.device)[whom] * inside


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
