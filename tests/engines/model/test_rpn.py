from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from engines.model.architecture import LITE
from engines.model.box_coder import clip, decode
from engines.model.features import Features
from engines.model.rpn import anchors, base_anchors, propose
from engines.model.suppress import suppress

SMALL = replace(LITE, proposals_level=40, proposals=50)
IMAGE_HW = (96, 160)


def said(seed: int, batch: int = 2) -> Features:
    torch.manual_seed(seed)
    sizes = [(12, 20), (6, 10), (3, 5), (2, 3)]
    objectness = tuple(torch.randn(batch, 3, h, w) * 3 for h, w in sizes)
    deltas = tuple(torch.randn(batch, 12, h, w) / 3 for h, w in sizes)
    for axis in (2, 3):  # on the last level small boxes: what it has too few of must not be made up by whole anchors
        deltas[-1][:, axis::4] -= 3
    return Features((), objectness, deltas)


def slow_proposals(seen: Features, index: int, size: tuple[int, int], wanted: int) -> list[list[float]]:
    """One picture, one anchor after the other."""
    best: list[tuple[float, list[float]]] = []
    for objectness, deltas, px in zip(seen.objectness, seen.deltas, SMALL.anchor_px, strict=True):
        _, _, rows, columns = objectness.shape
        level: list[tuple[float, list[float]]] = []
        for row in range(rows):
            for column in range(columns):
                for anchor, (w, h) in enumerate(((2**0.5, 0.5**0.5), (1, 1), (0.5**0.5, 2**0.5))):
                    x, y = column * (IMAGE_HW[1] // columns), row * (IMAGE_HW[0] // rows)
                    corner = (round(w * px / 2), round(h * px / 2))
                    place = torch.tensor(
                        [x - corner[0], y - corner[1], x + corner[0], y + corner[1]], dtype=torch.float32
                    )
                    box = decode(deltas[index, 4 * anchor : 4 * anchor + 4, row, column], place).tolist()
                    box = [min(max(side, 0), end) for side, end in zip(box, (size[1], size[0]) * 2, strict=True)]
                    level.append((float(objectness[index, anchor, row, column].sigmoid()), box))
        level = sorted(level, key=lambda one: -one[0])[: SMALL.proposals_level]
        level = [one for one in level if one[1][2] - one[1][0] >= 1e-3 and one[1][3] - one[1][1] >= 1e-3]
        stays, _ = suppress(torch.tensor([[box for _, box in level]]), torch.ones(1, len(level), dtype=torch.bool), 0.7)
        best += [one for one, stay in zip(level, stays[0].tolist(), strict=True) if stay]
    return [box for _, box in sorted(best, key=lambda one: -one[0])[:wanted]]


@pytest.mark.parametrize("wanted", [50, 500])  # fewer than there are, and more
@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_each_level_compete_after_suppression(seed: int, wanted: int) -> None:
    seen, sizes = said(seed), [(90, 130), (70, 160)]
    architecture = replace(SMALL, proposals=wanted)
    proposals = propose(seen, IMAGE_HW, torch.tensor(sizes, dtype=torch.float32), architecture, rounds=None)
    assert proposals.converged
    for index, size in enumerate(sizes):
        slow = torch.tensor(slow_proposals(seen, index, size, wanted))
        assert proposals.valid[index].sum() == len(slow)
        torch.testing.assert_close(proposals.boxes[index][: len(slow)], slow, rtol=1e-5, atol=1e-3)


def test_anchors_are_rounded_around_their_cell() -> None:
    assert base_anchors([32])[0].tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]


def test_too_few_rounds_are_admitted() -> None:
    sizes = torch.tensor([[90.0, 130.0], [70.0, 160.0]])
    assert not propose(said(0), IMAGE_HW, sizes, SMALL, rounds=1).converged


@pytest.mark.parametrize(("width_px", "kept"), [(0.0009, False), (0.0011, True)])
def test_a_proposal_is_at_least_a_thousandth_of_a_pixel_wide(width_px: float, kept: bool) -> None:
    seen = said(0, batch=1)
    seen.objectness[0][0, 1, 5, 10] = 50.0
    seen.deltas[0][0, 4:8, 5, 10] = torch.tensor([0.0, 0.0, math.log(width_px / 32), 0.0])
    proposals = propose(seen, IMAGE_HW, torch.tensor([[90.0, 130.0]]), SMALL, rounds=None)
    best = proposals.boxes[0, 0]
    assert bool(best[2] - best[0] < 0.01) == kept


def test_among_equals_finer_levels_go_first() -> None:
    seen = said(0, batch=1)
    for level, px in enumerate(SMALL.anchor_px):
        seen.objectness[level].fill_(0.0)
        seen.deltas[level][:, 0::4] = seen.deltas[level][:, 1::4] = 20 / px  # inwards, so that no box is cut
        seen.deltas[level][:, 2::4] = seen.deltas[level][:, 3::4] = math.log(2**level / px)
    proposals = propose(seen, IMAGE_HW, torch.full((1, 2), 999.0), replace(SMALL, proposals=500), rounds=None)
    sides = (proposals.boxes[0, :, 2:] - proposals.boxes[0, :, :2])[proposals.valid[0]]
    levels = (sides.prod(1).log2() / 2).round().tolist()
    assert set(levels) == {0, 1, 2, 3}
    assert levels == sorted(levels)


def with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[0, 0] = torch.nan
    return x


def test_what_is_no_number_proposes_nothing() -> None:
    seen = said(0)
    broken = Features((), tuple(map(with_nan, seen.objectness)), tuple(map(with_nan, seen.deltas)))
    sizes = torch.tensor([[90.0, 130.0], [70.0, 160.0]])
    proposals = propose(broken, IMAGE_HW, sizes, SMALL, rounds=None)
    assert proposals.boxes.isfinite().all()
    whole = propose(seen, IMAGE_HW, sizes, SMALL, rounds=None)
    assert torch.equal(proposals.boxes[1], whole.boxes[1])


@pytest.mark.parametrize("exact", [False, True])
def test_all_anchors_are_those_that_proposals_are_made_of(exact: bool) -> None:
    architecture = replace(SMALL, anchors_exact=exact)
    seen = said(0, batch=1)
    levels_hw = [(level.shape[2], level.shape[3]) for level in seen.objectness]
    every = anchors(levels_hw, IMAGE_HW, architecture)
    assert len(every) == 3 * sum(h * w for h, w in levels_hw)
    size = torch.tensor([[96.0, 160.0]])
    last_level = range(len(every) - 18, len(every))  # of cells that are not square
    for number in [*torch.randperm(len(every))[:40].tolist(), *last_level]:
        logits = torch.full((len(every),), -9.0)
        logits[number] = 9.0
        each = logits.split([3 * h * w for h, w in levels_hw])
        objectness = tuple(
            some.view(1, h, w, 3).permute(0, 3, 1, 2) for some, (h, w) in zip(each, levels_hw, strict=True)
        )
        still = Features((), objectness, tuple(torch.zeros_like(deltas) for deltas in seen.deltas))
        best = propose(still, IMAGE_HW, size, architecture, rounds=None).boxes[0, 0]
        torch.testing.assert_close(best, clip(every[None, number, None], size)[0, 0], rtol=0, atol=1e-4)
