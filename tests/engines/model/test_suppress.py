from __future__ import annotations

import pytest
import torch

from engines.model.suppress import suppress


def slow_iou(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union


def slow_suppress(boxes: list[list[float]], valid: list[bool], iou_max: float) -> list[bool]:
    kept: list[int] = []
    for at, box in enumerate(boxes):
        if valid[at] and all(slow_iou(boxes[k], box) <= iou_max for k in kept):
            kept.append(at)
    return [at in kept for at in range(len(boxes))]


def crowd(seed: int, groups: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    corners = torch.rand(groups, count, 2) * 40
    boxes = torch.cat((corners, corners + 20 + torch.rand(groups, count, 2) * 20), -1)
    return boxes, torch.rand(groups, count) > 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou_max", [0.3, 0.5, 0.7])
def test_the_same_boxes_stay_as_when_taken_one_by_one(seed: int, iou_max: float) -> None:
    boxes, valid = crowd(seed, groups=3, count=60)
    stays, converged = suppress(boxes, valid, iou_max)
    assert converged
    assert stays.any(1).all()
    assert (~stays[valid]).any()
    for mine, group, there in zip(stays, boxes, valid, strict=True):
        assert mine.tolist() == slow_suppress(group.tolist(), there.tolist(), iou_max)


def test_boxes_that_overlap_by_just_the_limit_both_stay() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]]])
    stays, _ = suppress(boxes, torch.ones(1, 2, dtype=torch.bool), 0.5)
    assert stays.all()


def chain(count: int) -> torch.Tensor:
    """Each box overlaps only its neighbours, so whether it stays depends on all before it."""
    x = torch.arange(count) * 4.0
    return torch.stack((x, torch.zeros(count), x + 10, torch.full((count,), 10.0)), 1)[None]


def test_a_long_chain_is_followed_to_its_end() -> None:
    stays, converged = suppress(chain(41), torch.ones(1, 41, dtype=torch.bool), 0.4)
    assert converged
    assert stays[0].tolist() == [at % 2 == 0 for at in range(41)]


def test_too_few_rounds_are_admitted() -> None:
    valid = torch.ones(1, 41, dtype=torch.bool)
    _, converged = suppress(chain(41), valid, 0.4, rounds=5)
    assert not converged
    stays, converged = suppress(chain(41), valid, 0.4, rounds=41)
    assert converged
    assert stays[0].tolist() == [at % 2 == 0 for at in range(41)]
