"""Rounding in training: what is rounded, and that gradients do not notice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engines.train.rounding import Rounding, rounded_inputs, rounded_weights

SEEDS = st.integers(0, 10_000)


def made(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * torch.rand(shape[0], *[1] * (len(shape) - 1), generator=generator)


@given(SEEDS)
def test_rounded_weights_are_their_own_rounding(seed: int) -> None:
    once = rounded_weights(made(seed, 5, 3, 3, 3))
    torch.testing.assert_close(rounded_weights(once), once, rtol=1e-6, atol=0)


@given(SEEDS)
def test_weights_are_whole_multiples_of_the_step_of_their_own_channel(seed: int) -> None:
    weights = made(seed, 5, 3, 3, 3)
    step = weights.abs().amax((1, 2, 3), keepdim=True) / 127
    multiples = rounded_weights(weights) / step
    torch.testing.assert_close(multiples, multiples.round(), atol=1e-3, rtol=0)
    assert ((rounded_weights(weights) - weights).abs() <= step * 0.501).all()


def test_the_channels_of_a_transposed_convolution_are_counted_by_its_second_dimension() -> None:
    weights = torch.ones(4, 2, 3, 3)
    weights[:, 1] *= 1e-3
    torch.testing.assert_close(rounded_weights(weights, 1), weights)
    assert not torch.equal(rounded_weights(weights, 0)[:, 1], weights[:, 1])


@given(SEEDS, st.floats(-3, 3))
def test_inputs_have_256_levels_and_zero_is_one(seed: int, shift: float) -> None:
    x = made(seed, 40, 50) + shift
    x[0, 0] = 0
    rounded = rounded_inputs(x)
    assert len(rounded.unique()) <= 256
    assert rounded[0, 0] == 0
    step = (x.max().clamp(min=0) - x.min().clamp(max=0)) / 255
    assert (rounded - x).abs().max() <= 1.01 * step


@pytest.mark.parametrize("rounded", [rounded_weights, rounded_inputs])
def test_gradients_pass_straight_through(rounded: object) -> None:
    x, wanted = made(1, 4, 6).requires_grad_(), made(2, 4, 6)
    (rounded(x) * wanted).sum().backward()  # type: ignore[operator]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, wanted)


def test_numbers_that_are_all_zero_stay_so() -> None:
    assert rounded_weights(torch.zeros(3, 4)).abs().max() == 0
    assert rounded_inputs(torch.zeros(3, 4)).abs().max() == 0


def test_inputs_of_layers_are_rounded_in_so_many_passes_and_not_afterwards() -> None:
    layer = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(layer.weight)
    rounding, x = Rounding(nn.Sequential(layer), 0.5), torch.linspace(0, 1, 1000).view(1, 1, 10, 100)
    generator = torch.Generator().manual_seed(0)
    levels = []
    for _ in range(60):
        with rounding.inputs(generator):
            levels.append(len(layer(x).unique()))
    assert set(levels) == {256, 1000}
    assert 18 <= levels.count(256) <= 42
    assert len(layer(x).unique()) == 1000
    assert list(rounding.weights()) == ["0.weight"]
