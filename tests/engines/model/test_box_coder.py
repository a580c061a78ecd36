from __future__ import annotations

import math

import pytest
import torch

from engines.model.box_coder import clip, decode, encode, not_smaller


def slow_decode(delta: list[float], box: list[float], weights: tuple[float, float]) -> list[float]:
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    x, y = x1 + w / 2 + delta[0] / weights[0] * w, y1 + h / 2 + delta[1] / weights[0] * h
    w *= math.exp(min(delta[2] / weights[1], math.log(62.5)))
    h *= math.exp(min(delta[3] / weights[1], math.log(62.5)))
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("weights", [(1.0, 1.0), (10.0, 5.0)])
def test_boxes_are_decoded_as_the_paper_writes_it(seed: int, weights: tuple[float, float]) -> None:
    torch.manual_seed(seed)
    deltas = torch.randn(20, 4) * 3
    boxes = torch.rand(20, 4) * 50
    boxes[:, 2:] += boxes[:, :2]
    slow = [slow_decode(delta, box, weights) for delta, box in zip(deltas.tolist(), boxes.tolist(), strict=True)]
    torch.testing.assert_close(decode(deltas, boxes, weights), torch.tensor(slow), rtol=1e-5, atol=1e-3)


def test_no_delta_makes_a_box_infinite() -> None:
    assert decode(torch.tensor([[0.0, 0.0, 1e9, 1e9]]), torch.tensor([[0.0, 0.0, 10.0, 20.0]])).isfinite().all()


def test_each_picture_clips_at_its_own_size() -> None:
    boxes = torch.tensor([-5.0, -5.0, 500.0, 500.0]).expand(2, 3, 4)
    clipped = clip(boxes, torch.tensor([[10.0, 20.0], [30.0, 40.0]]))
    assert clipped[0].tolist() == [[0, 0, 20, 10]] * 3
    assert clipped[1].tolist() == [[0, 0, 40, 30]] * 3


def test_a_box_that_is_no_number_is_too_small() -> None:
    boxes = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, torch.nan, 5, 5]])
    assert not_smaller(boxes, 1.0).tolist() == [True, False, False]


@pytest.mark.parametrize("weights", [(1.0, 1.0), (10.0, 5.0)])
def test_what_is_encoded_is_decoded_to_the_same_boxes(weights: tuple[float, float]) -> None:
    torch.manual_seed(0)
    boxes, references = (torch.rand(2, 50, 4) * 100 for _ in range(2))
    boxes[..., 2:] += boxes[..., :2] + 0.5
    references[..., 2:] += references[..., :2] + 5
    deltas = encode(boxes, references, weights)
    torch.testing.assert_close(decode(deltas, references, weights), boxes, rtol=1e-5, atol=1e-3)


def test_deltas_are_shifts_in_sides_of_the_reference_and_logarithms_of_growth() -> None:
    deltas = encode(torch.tensor([20.0, 10.0, 60.0, 20.0]), torch.tensor([10.0, 10.0, 30.0, 30.0]), (10.0, 5.0))
    assert deltas.tolist() == pytest.approx([10.0, -2.5, 5 * math.log(2), 5 * math.log(0.5)])
