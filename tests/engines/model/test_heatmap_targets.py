"""Targets and decoders: round trips, worked figures, and what each decoder is exact for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from engines.model import targets

HW = (24, 18)


def places(count: int = 200, margin: float = 3.0) -> Tensor:
    """(count, 1, 2) in cells, at least `margin` cells within the map."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor((HW[1] - 1, HW[0] - 1)) - 2 * margin
    return torch.rand(count, 1, 2, generator=generator, dtype=torch.float64) * size + margin


def test_cells_and_pixels_are_each_other_s_inverse() -> None:
    boxes = torch.tensor([[320.0, 120, 640, 440], [1.5, 2, 8, 40]])
    xy = torch.tensor([[[400.0, 200], [320, 120]], [[3, 4], [8, 40]]])
    back = targets.from_cells(targets.to_cells(xy, boxes, HW), boxes, HW)
    torch.testing.assert_close(back, xy)


def test_the_corner_of_a_box_is_half_a_cell_before_the_first_centre() -> None:
    boxes = torch.tensor([[320.0, 120, 640, 440]])
    assert targets.to_cells(boxes[:, None, :2], boxes, HW).tolist() == [[[-0.5, -0.5]]]
    assert targets.to_cells(boxes[:, None, 2:], boxes, HW).tolist() == [[[17.5, 23.5]]]


def test_a_point_of_a_crop_lies_in_the_picture() -> None:
    box = torch.tensor([[320.0, 120, 640, 440]])
    in_crop = torch.tensor([[[180.0, 100]]])  # pixels of a crop of 256 x 256: cells are counted from a half on
    assert targets.from_cells(in_crop - 0.5, box, (256, 256)).tolist() == [[[545, 245]]]


def test_soft_argmax_of_a_small_map() -> None:
    maps = torch.tensor([[[[0.0, 1, 0], [0, 3, 0], [0, 0, 0]]]])
    at = targets.soft_argmax(maps, 1.0)[0, 0]
    assert at.tolist() == pytest.approx([1.000, 0.942], abs=5e-4)
    assert (64 * at).tolist() == pytest.approx([64.0, 60.3], abs=0.05)


DECODERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "argmax": (targets.argmax, 0.5),
    "quarter": (targets.quarter, 0.25),
    "parabola of the logarithm": (lambda heat: targets.parabola(heat.log()), 1e-6),
    "dark": (lambda heat: targets.dark(heat, 0), 1e-6),
    "dark, smoothed": (lambda heat: targets.dark(heat, 1.5), 0.02),
    "soft-argmax of the logarithm": (lambda heat: targets.soft_argmax(heat.log(), 1.0), 0.02),
}


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_finds_a_gaussian_s_peak_within_its_bound(name: str) -> None:
    decode, bound = DECODERS[name]
    xy = places(margin=5)
    error = (decode(targets.gaussian(xy, HW, 1.5)) - xy).abs().amax()
    assert error <= bound + 1e-9
    assert name not in ("argmax", "quarter") or error > 0.9 * bound


def test_dark_and_parabola_are_exact_between_any_two_cells_of_a_turned_gaussian() -> None:
    xy = places(50)
    true, _ = targets.offsets(xy, HW, 0)
    turned = (-(true[:, :, 0].square() + true[:, :, 1].square() + 1.2 * true[:, :, 0] * true[:, :, 1]) / 6).exp()
    torch.testing.assert_close(targets.dark(turned, 0), xy, atol=1e-6, rtol=0)
    assert (targets.parabola(turned.log()) - xy).abs().max() > 0.05  # it does not see that the axes are joined


def test_what_lies_at_the_edge_stays_on_the_map() -> None:
    xy = torch.tensor([[[0.0, 0], [17, 23]]], dtype=torch.float64)
    heat = targets.gaussian(xy, HW, 1.5)
    for decode in (targets.argmax, targets.parabola, lambda maps: targets.dark(maps, 0)):
        assert torch.equal(decode(heat), xy)


def test_a_flat_map_has_its_first_cell() -> None:
    flat = torch.ones(1, 1, *HW)
    for decode in (targets.argmax, targets.quarter, targets.parabola, lambda maps: targets.dark(maps, 1)):
        assert decode(flat).tolist() == [[[0, 0]]]


def test_offsets_lead_to_the_keypoint_from_every_cell() -> None:
    xy = places(20)
    to_keypoint, near = targets.offsets(xy, HW, 2.0)
    noisy = torch.rand(20, 1, *HW, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(targets.by_offsets(noisy, to_keypoint), xy)
    assert near.sum((1, 2, 3)).float().mean() == pytest.approx(3.14 * 4, rel=0.05)


def test_shares_sum_to_one_and_their_mean_is_the_place() -> None:
    xy = places(20, margin=6)
    shares = targets.soft_cells(xy, HW, 1.0)
    torch.testing.assert_close(shares.sum((2, 3)), torch.ones(20, 1, dtype=torch.float64))
    torch.testing.assert_close(targets.soft_argmax(shares.log(), 1.0), xy, atol=1e-3, rtol=0)


def test_the_one_cell_is_the_one_that_the_place_lies_in() -> None:
    xy = torch.tensor([[[0.4, 0.6], [-0.5, 23.5], [17.5, 0], [-0.51, 3], [3, 23.51]]])
    which, inside = targets.one_hot(xy, HW)
    assert which[0, :3].tolist() == [1 * 18 + 0, 23 * 18 + 0, 17]
    assert inside[0].tolist() == [True, True, True, False, False]


def test_soft_argmax_is_drawn_inwards_at_the_edge_more_at_a_higher_temperature() -> None:
    xy = torch.tensor([[[1.0, 12.0]]], dtype=torch.float64)
    logits = 8 * targets.gaussian(xy, HW, 1.5)
    at = [float(targets.soft_argmax(logits, temperature)[0, 0, 0]) for temperature in (0.2, 1.0, 2.0)]
    assert at == sorted(at)
    assert at[2] - 1 > 1.0


def test_a_gradient_goes_through_soft_argmax() -> None:
    logits = torch.zeros(1, 1, *HW, requires_grad=True)
    targets.soft_argmax(logits, 1.0).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, -1, -1] > 0 > logits.grad[0, 0, 0, 0]
