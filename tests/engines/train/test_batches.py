"""Batches: their number decides them, and all parts of a training fit together."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from made_people import centre_of_light, one_spot
from torch import Tensor, nn

from engines.model import losses, targets
from engines.ops.skeleton import COCO
from engines.train import batches
from engines.train.augment import Augmentation
from engines.train.batches import Ahead, collated, numbered
from engines.train.budget import Budget
from engines.train.loop import Batch, Recipe, Step, Trainable, Trainer
from engines.train.optim import Optim
from engines.train.schedule import Schedule
from engines.train.synthetic import Still
from engines.train.target import Target

SMALL = Still(size_hw=(64, 64), people=(1, 1), height_px=(45, 60), occluders=0)
DRAWN = batches.drawn(SMALL, Augmentation(), COCO.mirror)


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.images, second.images) and all(
        np.array_equal(a.keypoints, b.keypoints) for a, b in zip(first.targets, second.targets, strict=True)
    )


def test_a_number_gives_the_same_batch_in_any_order() -> None:
    one, other = numbered(DRAWN, 2, seed=3), numbered(DRAWN, 2, seed=3)
    forward, backward = [one(number) for number in (0, 1)], [other(number) for number in (1, 0)]
    assert same(forward[0], backward[1])
    assert same(forward[1], backward[0])
    assert not same(forward[0], forward[1])
    assert not same(forward[0], numbered(DRAWN, 2, seed=4)(0))


def test_pixels_keep_their_place_and_colour() -> None:
    sample = one_spot(30, 40, (64, 96))
    batch = collated([sample, sample])
    assert batch.images.shape == (2, 3, 64, 96)
    assert batch.images[1, :, 40, 30].tolist() == [1, 1, 1]
    assert batch.images[0, 0, 0, 0].item() == pytest.approx(60 / 255)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_pictures_of_two_sizes_are_no_batch() -> None:
    with pytest.raises(ValueError, match="pictures of a batch are 96 x 32 and 96 x 64; expected one size"):
        collated([one_spot(9, 9, (64, 96)), one_spot(9, 9, (32, 96))])


def test_mixed_pictures_are_of_both_kinds_as_often_as_said() -> None:
    first, second = one_spot(9, 9, (32, 32)), one_spot(19, 19, (32, 32))
    draw = batches.mixed(lambda rng: first, lambda rng: second, 0.25)
    rng = np.random.default_rng(0)
    seen = [draw(rng) is second for _ in range(1000)]
    assert 0.2 < sum(seen) / 1000 < 0.3


def test_batches_come_from_another_thread_before_they_are_asked_for() -> None:
    made, third = list[tuple[int, str]](), threading.Event()

    def make(number: int) -> Batch:
        made.append((number, threading.current_thread().name))
        if number == 2:
            third.set()
        return Batch(torch.full((1,), float(number)), [])

    with Ahead(make, ahead=2) as ahead:
        assert ahead(0).images.item() == 0
        assert third.wait(10)
        assert [ahead(number).images.item() for number in (1, 2, 7)] == [1, 2, 7]
    assert [number for number, _ in made[:3]] == [0, 1, 2]
    assert {name for _, name in made} == {"batches_0"}


def test_an_error_in_the_other_thread_is_raised_here() -> None:
    def broken(number: int) -> Batch:
        raise KeyError(f"batch {number}")

    with Ahead(broken) as ahead, pytest.raises(KeyError, match="batch 5"):
        ahead(5)


def test_the_pictures_of_a_batch_can_be_made_in_two_places() -> None:
    whole, halves = numbered(DRAWN, 4, seed=3)(7), [numbered(DRAWN, 2, 3, first)(7) for first in (0, 2)]
    assert torch.equal(whole.images, torch.cat([half.images for half in halves]))


def test_plain_pictures_are_as_large_as_said_and_their_labels_move_with_them() -> None:
    sample = one_spot(60, 40, (80, 120))
    light = Augmentation(mirror_share=0, brightness=0, contrast=0, saturation=0, hue=0)
    draw = batches.plain(lambda rng: sample, (64, 96), (0.8, 1.6), light, COCO.mirror)
    seen = 0
    for seed in range(40):
        pixels, target = draw(np.random.default_rng(seed))
        assert pixels.shape == (64, 96, 3)
        if target.labelled.any():
            seen += 1
            (at,) = target.keypoints[target.visibility > 0]
            assert centre_of_light(pixels) == pytest.approx(at, abs=1.0)
    assert seen > 20


def test_so_many_pictures_as_said_are_turned() -> None:
    sample = one_spot(60, 40, (80, 120))
    draw = batches.turned(lambda rng: sample, 0.3, 30)
    rng = np.random.default_rng(0)
    moved = [draw(rng).target.keypoints[0, 0] != pytest.approx(sample.target.keypoints[0, 0]) for _ in range(300)]
    assert 0.2 < np.mean(moved) < 0.4


def whole_maps(labels: Sequence[Target]) -> tuple[Tensor, Tensor]:
    """Cells of the keypoints of one person a picture on maps of 16 x 16 cells, and their weights."""
    whole = torch.tensor([[0.0, 0, 64, 64]])
    cells = [targets.to_cells(torch.from_numpy(label.keypoints[:1]), whole, (16, 16)) for label in labels]
    return torch.cat(cells), torch.cat([torch.from_numpy(label.weights[:1]) for label in labels])


class HeatMaps(Trainable):
    """One person a picture; maps of 16 x 16 cells over all of it."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, 24, 2), (24, 32, 2), (32, 48, 2), (48, 48, 1)):
            layers += [nn.Conv2d(inputs, outputs, 5, stride, 2), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(48, 17, 4, 2, 1))

    def losses(self, images: Tensor, targets: Sequence[Target]) -> dict[str, Tensor]:
        logits = self.body(images)
        xy_cells, weights = whole_maps(targets)
        loss, inside = losses.one_hot(logits, xy_cells)
        return {"keypoints": losses.mean(loss, weights * inside)}


def test_drawn_people_are_learned_from() -> None:
    torch.manual_seed(0)
    recipe = Recipe(budget=Budget(steps=120), optim=Optim(rate=4e-3), schedule=Schedule(hold=0.3), average=0.9)
    told: list[Step] = []
    with Ahead(numbered(DRAWN, 8, seed=0)) as ahead:
        training = Trainer(HeatMaps(), recipe, ahead)
        training.run(told.append)
    assert told[0].losses["keypoints"] == pytest.approx(np.log(256), rel=0.15)
    held_out = numbered(DRAWN, 32, seed=1)(0)
    with training.average.in_place(training.network), torch.inference_mode():
        maps = training.network.eval().body(held_out.images)  # type: ignore[union-attr, operator]
    truth, weights = whole_maps(held_out.targets)
    off = (targets.soft_argmax(maps, 1.0) - truth).norm(dim=2)[weights > 0]
    middle = (truth - torch.tensor([7.5, 7.5])).norm(dim=2)[weights > 0]
    assert off.mean() < 0.6 * middle.mean()
