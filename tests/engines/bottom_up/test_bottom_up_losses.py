"""What maps cost: nothing where they are right, and nothing where nobody knows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from configs.errors import EngineError
from configs.train import InitSettings
from engines.bottom_up import losses
from engines.ops.skeleton import COCO
from engines.train import initial
from engines.train.batches import collated
from engines.train.bottom_up import TrainedBottomUp
from tests.engines.train.made_people import people, spots

HW = (6, 8)


def maps(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_right_heat_maps_cost_nothing_and_are_left_as_they_are() -> None:
    wanted = maps(3, *HW).clamp(0.01, 0.99)
    logits = torch.logit(wanted).requires_grad_()
    loss = losses.heat(logits, wanted, torch.ones(HW), 1)
    loss.backward()
    assert float(loss.detach()) < 1e-12
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6
    off = (logits.detach() + 0.5).requires_grad_()
    losses.heat(off, wanted, torch.ones(HW), 1).backward()
    assert off.grad is not None
    assert (off.grad > 0).all()  # down again


def test_what_is_masked_teaches_nothing() -> None:
    mask = torch.ones(HW)
    mask[2:4, 1:5] = 0
    logits, field = maps(3, *HW).requires_grad_(), maps(3, 2, *HW).requires_grad_()
    heat = losses.heat(logits, torch.zeros(3, *HW), mask, 1)
    along = losses.fields(field, torch.zeros(3, 2, *HW), torch.ones(3, *HW), mask)
    (heat + along).backward()
    assert logits.grad is not None
    assert field.grad is not None
    for learned in (logits.grad.abs().sum(0), field.grad.abs().sum((0, 1))):
        assert torch.equal(learned > 0, mask > 0)


def test_heat_is_counted_by_the_person() -> None:
    logits, wanted, mask = maps(2, *HW), torch.zeros(2, *HW), torch.ones(HW)
    once, nobody = losses.heat(logits, wanted, mask, 1), losses.heat(logits, wanted, mask, 0)
    assert torch.equal(once, nobody)
    torch.testing.assert_close(losses.heat(logits, wanted, mask, 4), once / 4)


@pytest.mark.parametrize("seed", range(5))
def test_pull_and_push_are_those_of_the_slow_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tags, labelled = rng.normal(0, 1.5, (4, 6, 2)), rng.random((4, 6)) < 0.6
    labelled[1] = False  # somebody without any label
    pull, push = losses.tags(torch.from_numpy(tags), torch.from_numpy(labelled))
    there = [person for person in range(4) if labelled[person].any()]
    means = {person: tags[person, labelled[person]].mean(0) for person in there}
    pulled = [
        np.mean([2 * (np.sqrt(1 + np.sum((tag - means[at]) ** 2)) - 1) for tag in tags[at, labelled[at]]])
        for at in there
    ]
    pairs = itertools.combinations(there, 2)
    pushed = [max(0.0, losses.MARGIN - float(np.linalg.norm(means[a] - means[b]))) ** 2 for a, b in pairs]
    assert float(pull) == pytest.approx(np.mean(pulled))
    assert float(push) == pytest.approx(np.mean(pushed), abs=1e-5)


def test_tags_that_agree_and_are_apart_cost_nothing() -> None:
    means = torch.tensor([[0.0, 0.0], [2.1, 0.0], [0.0, -2.1]])
    tags = means[:, None].expand(3, 5, 2)
    pull, push = losses.tags(tags, torch.ones(3, 5, dtype=torch.bool))
    assert (float(pull), float(push)) == (0, 0)


def test_tags_of_two_people_on_one_place_can_still_be_learned_from() -> None:
    tags = torch.zeros(2, 3, 2, requires_grad=True)
    sum(losses.tags(tags, torch.ones(2, 3, dtype=torch.bool))).backward()  # type: ignore[union-attr]
    assert tags.grad is not None
    assert tags.grad.isfinite().all()


def test_a_limb_teaches_ten_times_as_much_as_an_empty_cell() -> None:
    there = torch.zeros(1, *HW)
    there[0, 3, 3] = 1
    field, nothing, mask = torch.zeros(1, 2, *HW), torch.zeros(1, 2, *HW), torch.ones(HW)
    on, off = field.clone(), field.clone()
    on[0, 0, 3, 3] = off[0, 0, 2, 2] = 0.5
    assert float(losses.fields(field, nothing, there, mask)) == 0
    assert float(losses.fields(on, nothing, there, mask)) == pytest.approx(0.25)
    assert float(losses.fields(off, nothing, there, mask)) == pytest.approx(0.025)


@pytest.fixture(scope="module")
def trained() -> TrainedBottomUp:
    torch.manual_seed(0)
    network, note = initial.start(InitSettings.model_validate({"model": "bottom-up", "from": "lite"}), COCO.size)
    assert note.startswith("model bottom-up: ")
    return TrainedBottomUp(network).train()  # type: ignore[arg-type]


def test_every_weight_learns_and_the_losses_fall(trained: TrainedBottomUp) -> None:
    batch = collated([spots(people(seed, size_hw=(128, 192))) for seed in range(2)])
    optimizer = torch.optim.AdamW(trained.parameters(), 1e-3)
    costs = []
    for _ in range(8):
        found = trained.losses(batch.images, batch.targets)
        optimizer.zero_grad()
        sum(found.values()).backward()  # type: ignore[union-attr]
        unlearned = [name for name, weight in trained.named_parameters() if weight.grad is None]
        assert unlearned == []
        optimizer.step()
        costs.append({name: float(loss.detach()) for name, loss in found.items()})
    for task in ("heat", "pull", "fields"):
        assert costs[-1][task] < 0.9 * costs[0][task]


def test_a_picture_without_people_teaches_heat_and_fields_alone(trained: TrainedBottomUp) -> None:
    empty = people(0, 0, size_hw=(64, 96))
    found = trained.losses(collated([spots(empty)]).images, [empty])
    assert float(found["heat"].detach()) > 0
    assert (float(found["pull"].detach()), float(found["push"].detach())) == (0, 0)
    assert all(loss.isfinite() for loss in found.values())


def test_other_keypoints_are_refused() -> None:
    with pytest.raises(EngineError, match=r"^model bottom-up joins COCO's 17 keypoints and skeleton.names has 5: use "):
        initial.start(InitSettings.model_validate({"model": "bottom-up", "from": "lite"}), 5)
