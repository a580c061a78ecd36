"""Batches: their number decides them, and all parts of a training fit together."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from made_people import one_spot, people
from torch import Tensor, nn

from engines.model import losses, targets
from engines.ops.skeleton import COCO
from engines.train import batches
from engines.train.augment import Augmentation
from engines.train.batches import Ahead, collated, keypoints_of, numbered, people_of
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


def test_the_heat_maps_of_a_box_show_its_person() -> None:
    target = people(1, 3)
    whom = torch.tensor([2, 0])
    boxes = torch.from_numpy(target.boxes)[whom]
    xy_cells, weights = keypoints_of(target, boxes, whom, (56, 56))
    back = targets.from_cells(xy_cells, boxes, (56, 56))
    np.testing.assert_allclose(back.numpy(), target.keypoints[[2, 0]], atol=1e-3)
    np.testing.assert_allclose(weights.numpy(), target.weights[[2, 0]])
    _, elsewhere = keypoints_of(target, boxes + 1000, whom, (56, 56))
    assert elsewhere.sum() == 0
    assert people_of(target, torch.device("cpu")).crowd.tolist() == target.crowd.tolist()


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
        whole = torch.tensor([[0.0, 0, 64, 64]])
        each = [keypoints_of(target, whole, torch.tensor([0]), (16, 16)) for target in targets]
        xy_cells, weights = (torch.cat(parts) for parts in zip(*each, strict=True))
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
    whole = torch.tensor([[0.0, 0, 64, 64]])
    with training.average.in_place(training.network), torch.inference_mode():
        maps = training.network.eval().body(held_out.images)  # type: ignore[union-attr, operator]
    each = [keypoints_of(target, whole, torch.tensor([0]), (16, 16)) for target in held_out.targets]
    truth, weights = (torch.cat(parts) for parts in zip(*each, strict=True))
    off = (targets.soft_argmax(maps, 1.0) - truth).norm(dim=2)[weights > 0]
    middle = (truth - torch.tensor([7.5, 7.5])).norm(dim=2)[weights > 0]
    assert off.mean() < 0.6 * middle.mean()
