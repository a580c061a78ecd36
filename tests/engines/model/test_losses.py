"""Losses: beside slow twins, least at the truth, and blind to what is not labelled."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engines.model import losses, targets

HW = (8, 6)
N, K = 3, 4


def seeded(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def places() -> Tensor:
    return torch.rand(N, K, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([5.0, 7.0])


def test_one_hot_is_the_share_of_the_right_cell() -> None:
    logits, xy = seeded(N, K, *HW), places()
    loss, inside = losses.one_hot(logits, xy)
    for person in range(N):
        for kind in range(K):
            x, y = (int(torch.floor(at + 0.5)) for at in xy[person, kind])
            share = math.exp(logits[person, kind, y, x]) / float(logits[person, kind].exp().sum())
            assert float(loss[person, kind]) == pytest.approx(-math.log(share), rel=1e-5)
    assert inside.tolist() == torch.ones(N, K).tolist()


def test_a_keypoint_beyond_the_map_costs_nothing() -> None:
    xy = places()
    xy[0, 0, 0] = 40
    loss, inside = losses.one_hot(seeded(N, K, *HW), xy)
    assert (float(loss[0, 0]), float(inside[0, 0]), float(inside.sum())) == (0, 0, N * K - 1)


def test_soft_cells_come_to_one_hot_as_they_narrow() -> None:
    logits, xy = seeded(N, K, *HW), places().round()
    soft = losses.soft_cells(logits, targets.soft_cells(xy, HW, 0.05))
    torch.testing.assert_close(soft, losses.one_hot(logits, xy)[0])


def test_focal_is_equation_1_cell_by_cell() -> None:
    logits, xy = seeded(1, 1, *HW), places()[:1, :1].round()
    heat = targets.gaussian(xy, HW, 1.0)
    slow = 0.0
    for logit, y in zip(logits.flatten().tolist(), heat.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        slow -= (1 - p) ** 2 * math.log(p) if y == 1 else (1 - y) ** 4 * p**2 * math.log(1 - p)
    assert float(losses.focal(logits, heat)) == pytest.approx(slow, rel=1e-4)


HEAT = targets.gaussian(places().round(), HW, 1.0)
AT_TRUTH: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "bce": (lambda x: losses.pixel_bce(x, HEAT), HEAT.clamp(1e-4, 1 - 1e-4).logit()),
    "mse": (lambda x: losses.mse(x, HEAT), HEAT),
    "soft cells": (lambda x: losses.soft_cells(x, HEAT / HEAT.sum((2, 3), keepdim=True)), HEAT.log()),
    "distillation": (lambda x: losses.distillation(x, HEAT, 2.0), HEAT),
    "offsets": (
        lambda x: losses.offsets(x, places(), 2.0),
        targets.offsets(places(), HW, 2.0)[0],
    ),
    "distance": (lambda x: losses.distance(x, places()), places()),
}


@pytest.mark.parametrize("name", AT_TRUTH)
def test_a_loss_is_least_at_the_truth(name: str) -> None:
    of, truth = AT_TRUTH[name]
    least = of(truth)
    assert least.shape == (N, K)
    for step in (0.3, -0.3):
        assert (of(truth + step * seeded(*truth.shape)) >= least - 1e-6).all()
        assert (of(truth + step * seeded(*truth.shape)) > least).any()


def test_distillation_of_oneself_costs_nothing_and_pays_no_heed_to_a_shift() -> None:
    teacher = seeded(N, K, *HW)
    assert float(losses.distillation(teacher + 3, teacher, 1.5).abs().max()) < 1e-5


def test_distillation_is_the_divergence_at_the_temperature_times_its_square() -> None:
    own, teacher = seeded(1, 1, *HW), 2 * seeded(1, 1, *HW).flip(3)
    p, q = ((maps / 3).flatten().exp() / (maps / 3).exp().sum() for maps in (teacher, own))
    slow = 9 * sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    assert float(losses.distillation(own, teacher, 3.0)) == pytest.approx(slow, rel=1e-4)


def test_offsets_beyond_the_radius_do_not_matter() -> None:
    true, near = targets.offsets(places(), HW, 1.5)
    wrong = torch.where(near[:, :, None], true, 99.0)
    assert float(losses.offsets(wrong, places(), 1.5).max()) == 0


def test_visibility_is_the_share_of_the_right_class() -> None:
    logits, truth = seeded(N, K, 3), torch.arange(N * K).view(N, K) % 3
    shares = logits.softmax(2).gather(2, truth[..., None])[..., 0]
    torch.testing.assert_close(losses.visibility(logits, truth.to(torch.int8)), -shares.log())


def test_what_is_not_labelled_has_no_gradient() -> None:
    logits = seeded(N, K, *HW).requires_grad_()
    weights = torch.ones(N, K)
    weights[1, 2] = 0
    loss, inside = losses.one_hot(logits, places())
    losses.mean(loss, weights * inside).backward()
    assert logits.grad is not None
    assert float(logits.grad[1, 2].abs().max()) == 0
    assert (logits.grad.abs().amax((2, 3)) > 0).sum() == N * K - 1


def test_nobody_labelled_costs_nothing() -> None:
    assert float(losses.mean(torch.ones(N, K), torch.zeros(N, K))) == 0
    assert float(losses.mean(torch.ones(0, K), torch.zeros(0, K))) == 0


def test_weights_are_a_weighted_mean() -> None:
    assert float(losses.mean(torch.tensor([[1.0, 4.0]]), torch.tensor([[3.0, 1.0]]))) == 1.75


def test_the_hardest_keypoints_of_each_person_count() -> None:
    each = torch.tensor([[1.0, 2, 3, 9], [8, 7, 6, 5]])
    weights = torch.ones(2, 4)
    weights[0, 3] = 0  # hardest of all, but not labelled
    assert float(losses.hardest_mean(each, weights, 2)) == (3 + 2 + 8 + 7) / 4
    assert losses.hardest_mean(each, weights, 9) == losses.mean(each, weights)


def test_tasks_are_summed_by_their_weights() -> None:
    parts = {"keypoints": torch.tensor(3.0), "boxes": torch.tensor(2.0)}
    assert float(losses.total(parts, {"boxes": 0.5})) == 4
    with pytest.raises(ValueError, match="a weight is given for box; the losses are boxes, keypoints"):
        losses.total(parts, {"box": 0.5})
