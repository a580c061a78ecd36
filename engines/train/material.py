"""What a training sees, by its settings: pictures to learn from, and those held back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from configs.errors import SourceError
from configs.train import DataSettings, PictureSettings, TrainSettings
from engines import cache_folder
from engines.ops.skeleton import Skeleton
from engines.train.augment import Augmentation
from engines.train.batches import Draw, canvases, drawn, mixed, plain, turned
from engines.train.cache import Cache, open_cache
from engines.train.canvas import Packing
from engines.train.coco import read_coco
from engines.train.dataset import Dataset, split
from engines.train.synthetic import Still, picture
from engines.train.target import Sample
from engines.train.yolo import read_yolo

_HELD_BACK_SEED = 1_000_000_000
"""Of drawn people for validation: far from any that is trained on."""


@dataclass(frozen=True)
class Material:
    """Pictures of a training."""

    draw: Draw
    """One to learn from."""
    held_back: Callable[[int], Iterator[Sample]]
    """So many, at most, that are never learned from; the same ones each time."""


def material(settings: TrainSettings, say: Callable[[str], None]) -> Material:
    """The pictures of a training; data sets are read, and decoded if that was not done before.

    Raises:
        SourceError: they cannot be read, or are of other keypoints.
        OutputError: the decoded pictures cannot be kept.
    """
    how, skeleton = settings.pictures, Skeleton(settings.skeleton)
    still = Still(size_hw=(how.height_px, how.width_px), people=how.people, height_px=how.person_px)
    drawings = drawn(still, _light(how, 0.5), skeleton.mirror)
    if settings.data.labels is None:
        return Material(drawings, lambda count: _drawn(still, count))
    learned, _ = split(dataset(settings.data, skeleton, truth_only=False))
    _, kept = split(dataset(settings.data, skeleton, truth_only=True))
    for line in learned.summary():
        say(line)
    cache = _decoded(learned, settings.data, say)
    draw = _from(cache, how, skeleton.mirror)
    if settings.data.drawn:
        draw = mixed(draw, drawings, settings.data.drawn)
    if not kept.pictures:
        return Material(draw, lambda count: iter(()))
    scored = _decoded(kept, settings.data, say)
    return Material(draw, lambda count: (scored.sample(at) for at in range(min(count, len(scored)))))


def dataset(settings: DataSettings, skeleton: Skeleton, *, truth_only: bool) -> Dataset:
    """A data set by its settings.

    Raises:
        SourceError: it cannot be read, or its keypoints are others.
    """
    assert settings.labels is not None
    labels = Path(settings.labels)
    if labels.is_dir():
        return read_yolo(labels / "images", labels / "labels", skeleton.names)
    images = Path(settings.images) if settings.images else labels.parent / "images"
    found = read_coco(labels, images, truth_only=truth_only)
    if found.keypoint_names != skeleton.names:
        raise SourceError(
            f"{labels} labels {', '.join(found.keypoint_names)}; expected {', '.join(skeleton.names)}: "
            "name its keypoints as skeleton.names in a settings file"
        )
    return found


def _from(cache: Cache, how: PictureSettings, mirror: Sequence[int]) -> Draw:
    size_hw = (how.height_px, how.width_px)

    def any_one(rng: np.random.Generator) -> Sample:
        return cache.sample(int(rng.integers(len(cache))))

    crops = turned(any_one, how.turned, how.turned_deg)
    packing = Packing(size_hw=size_hw, height_px=how.person_px, crops=how.crops)
    light = _light(how, 0.0)
    packed = canvases(crops, packing, light, mirror)
    return mixed(plain(any_one, size_hw, how.scale, light, mirror), packed, how.packed)


def _light(how: PictureSettings, mirror_share: float) -> Augmentation:
    return Augmentation(
        mirror_share=mirror_share,
        brightness=how.brightness,
        contrast=how.contrast,
        saturation=how.saturation,
        hue=how.hue,
        blur_px=how.blur_px,
        noise=how.noise,
    )


def _drawn(still: Still, count: int) -> Iterator[Sample]:
    return (picture(still, np.random.default_rng((_HELD_BACK_SEED, at))) for at in range(count))


def _decoded(pictures: Dataset, settings: DataSettings, say: Callable[[str], None]) -> Cache:
    folder = Path(settings.cache) if settings.cache else cache_folder.folder() / "pictures"

    def progress(done: int, of: int) -> None:
        if done % 500 == 0 or done == of:
            say(f"decoded {done} of {of} pictures")

    cache = open_cache(pictures, folder, settings.side_px, progress)
    for problem in cache.problems[:5]:
        say(f"left out: {problem}")
    return cache
