"""Who an anchor stands for, what is background, and what proposals and boxes cost."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from engines.model import detection_losses
from engines.model.box_coder import decode, encode
from engines.model.detection_losses import Sampled
from engines.model.matching import BACKGROUND, NEITHER, People, iou, match, sample


def boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 80
    return torch.cat((corners, corners + 10 + torch.rand(count, 2, generator=generator) * 60), 1)


def slow_iou(a: list[float], b: list[float]) -> tuple[float, float]:
    """Overlap of two boxes, and how much of the first lies in the second."""
    both = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    first, second = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return both / (first + second - both), both / first


def slow_match(references: Tensor, people: People, low: float, high: float, everybody: bool) -> list[int]:
    matched = []
    persons = people.boxes.tolist()
    real = [at for at in range(len(persons)) if not people.crowd[at]]
    best_of = {at: max((slow_iou(one, persons[at])[0] for one in references.tolist()), default=0) for at in real}
    for reference in references.tolist():
        overlaps = {at: slow_iou(reference, persons[at])[0] for at in real}
        whom = max(overlaps, key=lambda at: overlaps[at]) if overlaps else -1
        most = overlaps.get(whom, 0.0)
        forced = any(overlaps[at] == pytest.approx(best_of[at], abs=1e-7) and overlaps[at] > 0 for at in real)
        crowded = any(slow_iou(reference, persons[at])[1] > 0.5 for at in range(len(persons)) if people.crowd[at])
        if real and (most >= high or (everybody and forced)):
            matched.append(whom)
        elif most >= low or crowded:
            matched.append(NEITHER)
        else:
            matched.append(BACKGROUND)
    return matched


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("everybody", [True, False])
def test_matching_agrees_with_the_slow_definition(seed: int, everybody: bool) -> None:
    people = People(boxes(6, seed), torch.rand(6, generator=torch.Generator().manual_seed(seed)) < 0.3)
    references = torch.cat((boxes(60, seed + 100), people.boxes + 3))
    wanted = slow_match(references, people, 0.3, 0.6, everybody)
    assert match(references, people, 0.3, 0.6, everybody).tolist() == wanted
    assert {BACKGROUND, NEITHER} < set(wanted)


def test_a_crowd_is_neither_a_positive_nor_background() -> None:
    crowd = People(torch.tensor([[0.0, 0, 100, 100]]), torch.tensor([True]))
    inside, half_out, far = [10.0, 10, 30, 30], [90.0, 90, 115, 115], [200.0, 200, 220, 220]
    found = match(torch.tensor([inside, [0, 0, 100, 100], half_out, far]), crowd, 0.3, 0.7, everybody=True)
    assert found.tolist() == [NEITHER, NEITHER, BACKGROUND, BACKGROUND]


def test_a_person_among_a_crowd_is_still_a_positive() -> None:
    people = People(torch.tensor([[0.0, 0, 100, 100], [10, 10, 30, 60]]), torch.tensor([True, False]))
    assert match(people.boxes[1:], people, 0.5, 0.5).tolist() == [1]


def test_nobody_makes_all_background() -> None:
    assert (
        match(boxes(5, 0), People(torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)), 0.3, 0.7).tolist() == [-1] * 5
    )


def test_every_person_has_an_anchor_however_small_it_is() -> None:
    people = People(torch.tensor([[50.0, 50, 54, 54]]), torch.tensor([False]))
    anchors = torch.tensor([[40.0, 40, 72, 72], [0, 0, 32, 32]])
    assert match(anchors, people, 0.3, 0.7, everybody=True).tolist() == [0, BACKGROUND]
    assert match(anchors, people, 0.3, 0.7).tolist() == [BACKGROUND, BACKGROUND]


def test_a_sample_holds_half_positives_and_fills_up_with_background() -> None:
    generator = torch.Generator().manual_seed(0)
    matched = torch.tensor([0] * 100 + [BACKGROUND] * 100 + [NEITHER] * 50)
    positives, negatives = sample(matched, 60, 0.5, generator)
    assert (len(positives), len(negatives)) == (30, 30)
    assert (positives < 100).all()
    assert ((negatives >= 100) & (negatives < 200)).all()
    positives, negatives = sample(matched[95:], 60, 0.5, generator)
    assert (positives.tolist(), len(negatives)) == ([0, 1, 2, 3, 4], 55)
    assert len(set(negatives.tolist())) == 55


def test_the_same_chance_gives_the_same_sample() -> None:
    matched = torch.tensor([0, BACKGROUND] * 50)
    first, again, other = (sample(matched, 20, 0.5, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize("weights", [(1.0, 1.0), (10.0, 5.0)])
def test_deltas_make_the_box_again(weights: tuple[float, float]) -> None:
    wanted, references = boxes(50, 1), boxes(50, 2)
    torch.testing.assert_close(decode(encode(wanted, references, weights), references, weights), wanted)


def test_overlaps_agree_with_the_slow_definition() -> None:
    first, second = boxes(7, 3), boxes(5, 4)
    slow = [[slow_iou(a, b)[0] for b in second.tolist()] for a in first.tolist()]
    torch.testing.assert_close(iou(first, second), torch.tensor(slow))


def one_person() -> People:
    return People(torch.tensor([[10.0, 10, 42, 42]]), torch.tensor([False]))


def test_the_proposal_head_s_losses_are_those_worked_out_by_hand() -> None:
    anchors = torch.tensor([[10.0, 10, 42, 42], [14, 10, 46, 42], [200, 200, 232, 232]])
    logits = torch.tensor([2.0, 1.0, -1.0])
    which, where = detection_losses.rpn(logits, torch.zeros(3, 4), anchors, one_person(), torch.Generator(), 256)
    hand = [math.log1p(math.exp(-2)), math.log1p(math.exp(-1)), math.log1p(math.exp(-1))]
    assert float(which) == pytest.approx(sum(hand) / 3)  # the second overlaps by 0.78
    assert float(where) == pytest.approx((4 / 32 - 1 / 18) / 3)  # a shift of 4 / 32, above beta


def test_perfect_boxes_cost_nothing_and_only_their_class_is_left() -> None:
    people = one_person()
    sampled = Sampled(torch.tensor([[12.0, 8, 40, 44], [100, 100, 120, 140]]), torch.tensor([0, BACKGROUND]))
    deltas = torch.zeros(2, 8)
    deltas[:, 4:] = encode(people.boxes, sampled.boxes, detection_losses.BOX_WEIGHTS)
    which, where = detection_losses.box_head(torch.tensor([[0.0, 3], [2, 0]]), deltas, sampled, people)
    assert float(where) == 0
    assert float(which) == pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(-2))) / 2)


def test_labelled_people_are_proposals_but_crowds_are_not() -> None:
    people = People(torch.tensor([[10.0, 10, 42, 42], [60, 60, 90, 90]]), torch.tensor([False, True]))
    proposals = torch.tensor([[61.0, 61, 89, 89], [200, 200, 230, 230]])
    sampled = detection_losses.sample_proposals(proposals, people, torch.Generator(), 512)
    assert sampled.boxes.tolist() == [[10, 10, 42, 42], [200, 200, 230, 230]]
    assert sampled.whom.tolist() == [0, BACKGROUND]


def test_a_picture_full_of_crowd_costs_nothing_and_still_has_gradients() -> None:
    crowd = People(torch.tensor([[0.0, 0, 500, 500]]), torch.tensor([True]))
    logits, deltas = torch.zeros(4, requires_grad=True), torch.zeros(4, 4, requires_grad=True)
    which, where = detection_losses.rpn(logits, deltas, boxes(4, 0), crowd, torch.Generator())
    (which + where).backward()
    assert (which.item(), where.item()) == (0, 0)
    assert logits.grad is not None
    empty = Sampled(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert float(detection_losses.box_head(torch.zeros(0, 2), torch.zeros(0, 8), empty, crowd).which) == 0
