"""What the maps of labelled pictures should look like."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from engines.bottom_up import targets
from engines.ops.skeleton import COCO
from tests.engines.bottom_up.true_maps import crowd

HW = (24, 32)


@pytest.mark.parametrize("seed", range(4))
def test_each_cell_has_the_highest_of_the_gaussians_around_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xy = torch.from_numpy(rng.uniform(-3, 34, (3, 2, 2)).astype(np.float32))
    labelled = torch.from_numpy(rng.random((3, 2)) < 0.7)
    sigmas = torch.tensor([0.8, 1.2, 2.5])
    found = targets.heat(xy, labelled, HW, sigmas)
    for kind in range(2):
        for y in range(HW[0]):
            for x in range(HW[1]):
                heights = [
                    math.exp(-(math.dist(xy[person, kind].tolist(), (x, y)) ** 2) / (2 * float(sigmas[person]) ** 2))
                    for person in range(3)
                    if labelled[person, kind]
                ]
                # Cut off three deviations away, where a hundredth is left.
                assert abs(float(found[kind, y, x]) - max(heights, default=0)) < 0.012


def test_a_limb_is_a_bar_of_unit_vectors() -> None:
    start, end = np.array([6.0, 5.0]), np.array([22.0, 17.0])
    xy = torch.from_numpy(np.stack((start, end))[None].astype(np.float32))
    field, there = targets.fields(xy, torch.ones(1, 2, dtype=torch.bool), ((0, 1),), HW, torch.tensor([2.0]))
    unit = (end - start) / np.linalg.norm(end - start)
    for y in range(HW[0]):
        for x in range(HW[1]):
            along = (np.array([x, y]) - start) @ unit
            across = np.linalg.norm(start + along * unit - (x, y))
            outside = max(across - 2, -along, along - np.linalg.norm(end - start))
            if abs(outside) > 0.8:  # nearer to the edge it depends on how cells are rounded
                assert bool(there[0, y, x]) == (outside < 0)
            np.testing.assert_allclose(field[0, :, y, x], unit * float(there[0, y, x]), atol=1e-5)


def test_limbs_of_a_picture_turned_by_a_quarter_are_turned() -> None:
    xy = torch.from_numpy(np.random.default_rng(2).uniform(2, 22, (2, 17, 2)).astype(np.float32))
    turned = torch.stack((23 - xy[..., 1], xy[..., 0]), -1)
    known = torch.ones(2, 17, dtype=torch.bool)
    field, there = targets.fields(xy, known, COCO.limbs, (24, 24), torch.ones(2))
    got, got_there = targets.fields(turned, known, COCO.limbs, (24, 24), torch.ones(2))
    x, y = torch.rot90(field, -1, (2, 3)).unbind(1)
    same = torch.rot90(there, -1, (1, 2)) == got_there
    assert same.float().mean() > 0.99  # cells that a point is half way between may fall to either side
    close = (torch.stack((-y, x), 1) - got).abs().amax(1) < 1e-3
    assert close.float().mean() > 0.99


def test_a_limb_needs_both_ends_and_where_two_cross_they_are_averaged() -> None:
    xy = torch.tensor([[[2.0, 10.0], [18.0, 10.0]], [[10.0, 2.0], [10.0, 18.0]], [[20.0, 2.0], [20.0, 18.0]]])
    labelled = torch.tensor([[True, True], [True, True], [True, False]])
    field, there = targets.fields(xy, labelled, ((0, 1),), HW, torch.ones(3))
    assert not there[0, :, 19:].any()
    torch.testing.assert_close(field[0, :, 10, 4], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(field[0, :, 4, 10], torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(field[0, :, 10, 10], torch.tensor([0.5**0.5, 0.5**0.5]))


def test_an_extent_is_that_of_the_labelled_keypoints() -> None:
    xy = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [90.0, 90.0]], [[5.0, 5.0], [0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0]] * 3])
    labelled = torch.tensor([[True, True, False], [True, False, False], [False] * 3])
    assert targets.extents(xy, labelled).tolist() == [5, 0, 0]
    assert targets.extents(torch.zeros(0, 17, 2), torch.zeros(0, 17, dtype=torch.bool)).shape == (0,)


def test_a_picture_without_people_has_empty_maps() -> None:
    nobody = torch.zeros(0, 17, 2)
    known = torch.zeros(0, 17, dtype=torch.bool)
    assert not targets.heat(nobody, known, HW, torch.zeros(0)).any()
    field, there = targets.fields(nobody, known, COCO.limbs, HW, torch.zeros(0))
    assert (field.shape, there.any()) == ((19, 2, *HW), False)


def test_who_is_not_labelled_one_by_one_is_masked() -> None:
    mask = targets.unmasked(torch.tensor([[3.0, 5.0, 6.0, 7.0], [-4.0, 20.0, 2.0, 40.0]]), HW)
    wanted = np.ones(HW)
    wanted[5:8, 3:7] = 0
    wanted[20:, :3] = 0
    assert np.array_equal(mask.numpy(), wanted)


def test_true_fields_point_from_the_first_end_of_a_limb_to_the_second() -> None:
    one = crowd(seed=1, columns=1, rows=1, cells=30, tall=28)
    x, y = one.fields.reshape(19, 2, *one.heat.shape[1:]).transpose(1, 0, 2, 3)
    for number, (start, end) in enumerate(COCO.limbs):
        middle = np.rint((one.xy[0, start] + one.xy[0, end]) / 2).astype(int)
        way = one.xy[0, end] - one.xy[0, start]
        at = (number, middle[1], middle[0])
        assert x[at] * way[0] + y[at] * way[1] > 0.9 * np.linalg.norm(way)
