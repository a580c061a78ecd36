from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engines.model.box_coder import decode
from engines.model.roi import Limits, detect
from engines.model.rpn import Proposals

SIZES = ((90, 130), (70, 160))
EVERYBODY = Limits(score_min=0.0, people_max=1000)


def proposed(boxes: Tensor, converged: bool = True) -> Proposals:
    """All of them are there."""
    return Proposals(boxes, torch.ones(boxes.shape[:2], dtype=torch.bool), torch.tensor(converged))


def judged(scores: Tensor, deltas: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What the box head says so that proposals have these scores, and are moved by these deltas (N, 4)."""
    logits = torch.stack((torch.zeros_like(scores), scores.logit()), 1)
    moves = torch.zeros(len(scores), 8) if deltas is None else torch.cat((torch.full_like(deltas, 9), deltas), 1)
    return logits, moves


def only(boxes: list[list[float]], scores: list[float], limits: Limits = EVERYBODY) -> list[list[float]]:
    """The people of one picture of 1000 x 1000 pixels, whose proposals are not moved."""
    proposals = proposed(torch.tensor([boxes]))
    found = detect(*judged(torch.tensor(scores)), proposals, torch.tensor([[1000.0, 1000.0]]), limits, rounds=None)
    assert found.converged
    return found.boxes[0][found.scores[0] >= 0].tolist()


def slow_iou(a: list[float], b: list[float]) -> float:
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def slow_people(
    logits: Tensor, deltas: Tensor, proposals: Proposals, index: int, limits: Limits
) -> list[tuple[float, list[float]]]:
    """Score and box of each person of one picture, one proposal after the other."""
    h, w = SIZES[index]
    start, count = index * len(proposals.valid[0]), len(proposals.valid[0])
    judgements = zip(logits[start : start + count], deltas[start : start + count], strict=True)
    candidates = []
    for place, there, (logit, delta) in zip(proposals.boxes[index], proposals.valid[index], judgements, strict=True):
        score = float(logit.softmax(0)[1])
        moved = decode(delta[4:], place, (10.0, 5.0)).tolist()
        box = [min(max(side, 0.0), end) for side, end in zip(moved, (w, h, w, h), strict=True)]
        if there and score > limits.score_min and box[2] - box[0] >= 0.01 and box[3] - box[1] >= 0.01:
            candidates.append((score, box))
    kept: list[tuple[float, list[float]]] = []
    for score, box in sorted(candidates, key=lambda one: -one[0]):  # keeps the order of equals
        if all(slow_iou(other, box) <= 0.5 for _, other in kept):
            kept.append((score, box))
    return kept[: limits.people_max]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("limits", [Limits(0.0, 1000), Limits(0.05, 100), Limits(0.4, 5)], ids=str)
def test_people_are_those_that_are_found_one_by_one(seed: int, limits: Limits) -> None:
    torch.manual_seed(seed)
    corners = torch.rand(2, 80, 2) * torch.tensor([140.0, 80.0]) - 10
    proposals = proposed(torch.cat((corners, corners + 2 + torch.rand(2, 80, 2) * 60), -1))
    proposals = proposals._replace(valid=torch.rand(2, 80) > 0.1)
    logits, deltas = torch.randn(160, 2).mul(2).round(), torch.randn(160, 8) * 2  # many scores are tied
    people = detect(logits, deltas, proposals, torch.tensor(SIZES).float(), limits, rounds=None)
    assert people.converged
    for index in range(2):
        slow = slow_people(logits, deltas, proposals, index, limits)
        found = people.scores[index] >= 0
        assert len(slow) > 1
        assert found.tolist() == [True] * len(slow) + [False] * (len(found) - len(slow))
        torch.testing.assert_close(people.scores[index][found], torch.tensor([score for score, _ in slow]))
        torch.testing.assert_close(people.boxes[index][found], torch.tensor([box for _, box in slow]))
        assert (people.scores[index][~found] == -1).all()


def test_a_score_has_to_pass_its_limit() -> None:
    boxes = [[0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0], [40.0, 0.0, 49.0, 9.0]]
    assert only(boxes, [0.5, 0.5001, 0.4999], Limits(0.5, 10)) == boxes[1:2]


def test_a_person_is_at_least_a_hundredth_of_a_pixel_wide_and_high() -> None:
    sides = [(0.009, 9.0), (0.011, 9.0), (9.0, 0.009), (9.0, 0.011)]
    boxes = [[0.0, 0.0, w, h] for w, h in sides]
    found = only(boxes, [0.9, 0.8, 0.7, 0.6])
    assert [[round(side, 4) for side in box] for box in found] == [boxes[1], boxes[3]]


def test_what_is_no_number_is_nobody_and_leaves_the_others_as_they_are() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 9.0, 9.0], [20.0, 0.0, 29.0, 9.0], [40.0, 0.0, 49.0, 9.0]]])
    deltas = torch.zeros(3, 4)
    deltas[1, 2] = torch.nan
    scores = torch.tensor([torch.nan, 0.9, 0.8])
    found = detect(*judged(scores, deltas), proposed(boxes), torch.tensor([[99.0, 99.0]]), EVERYBODY, rounds=None)
    assert (found.scores[0] >= 0).tolist() == [True, False, False]
    assert found.boxes[0, 0].tolist() == boxes[0, 2].tolist()


def test_of_so_many_the_best_are_taken_and_of_equals_those_proposed_first() -> None:
    boxes = [[20.0 * at, 0.0, 20.0 * at + 9, 9.0] for at in range(40)]
    scores = [0.25] * 20 + [0.75] * 20
    assert only(boxes, scores) == boxes[20:] + boxes[:20]
    assert only(boxes, scores, Limits(0.0, 25)) == boxes[20:] + boxes[:5]


@pytest.mark.parametrize(
    ("step_px", "proposals_settled", "rounds", "enough"),
    [(3.0, True, 9, True), (3.0, True, 1, False), (20.0, True, 1, True), (20.0, False, 1, False)],
)
def test_too_few_rounds_are_admitted_whether_here_or_for_proposals(
    step_px: float, proposals_settled: bool, rounds: int, enough: bool
) -> None:
    x = torch.arange(9) * step_px  # at 3 px each box overlaps its neighbours, and whether it stays depends on them
    boxes = torch.stack((x, torch.zeros(9), x + 10, torch.full((9,), 10.0)), 1)[None]
    proposals, scores = proposed(boxes, proposals_settled), torch.linspace(0.9, 0.1, 9)
    found = detect(*judged(scores), proposals, torch.full((1, 2), 999.0), EVERYBODY, rounds)
    assert bool(found.converged) == enough
