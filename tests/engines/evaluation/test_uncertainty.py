"""Spread of answers, one answer from several, and answers that turn with the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from engines.evaluation.uncertainty import correlation, dropout_on, fused, rotation_errors, spread
from engines.ops import skeleton
from engines.ops.people import People, nobody

K = 17


def test_the_spread_is_the_deviation_put_in() -> None:
    xy = np.random.default_rng(0).normal(size=(20_000, 1, 2, 2)) * np.array([1.0, 3.0])[:, None] + 5
    of = spread(xy)
    assert of.xy == pytest.approx(np.full((1, 2, 2), 5), abs=0.1)
    assert of.deviation_px[0] == pytest.approx(np.sqrt(2) * np.array([1, 3]), rel=0.02)


def test_dropout_drops_while_batch_norm_keeps_its_mode() -> None:
    network = nn.Sequential(nn.BatchNorm1d(50), nn.Dropout(0.5)).eval()
    x = torch.ones(2, 50)
    with dropout_on(network):
        assert not network[0].training
        assert (network(x) == 0).any()
    assert not (network(x) == 0).any()


def test_modes_come_back_after_an_error() -> None:
    network = nn.Sequential(nn.Dropout(0.5)).eval()
    with pytest.raises(KeyError), dropout_on(network):
        raise KeyError
    assert not network[0].training


@pytest.mark.parametrize("seed", range(5))
def test_correlation_is_spearman_s(seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 8, (2, 40))
    assert correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_what_never_changes_correlates_with_nothing() -> None:
    assert np.isnan(correlation(np.ones(5), np.arange(5)))


def test_fusion_beats_its_best_part_by_the_variance_it_says() -> None:
    rng = np.random.default_rng(0)
    variance = np.array([1.0, 4.0])
    xy = rng.normal(size=(2, 100_000, 1, 2)) * np.sqrt(variance)[:, None, None, None]
    mean, least = fused(xy, np.broadcast_to(variance[:, None, None], (2, 100_000, 1)))
    assert least[0, 0] == pytest.approx(0.8)
    assert mean.var() == pytest.approx(0.8, rel=0.02)


def test_an_answer_that_says_nothing_does_not_count() -> None:
    xy = np.array([[[[1.0, 2.0]]], [[[np.nan, np.nan]]]])
    mean, variance = fused(xy, np.array([[[2.0]], [[np.inf]]]))
    assert (mean.tolist(), variance.tolist()) == ([[[1, 2]]], [[2]])
    assert np.isnan(fused(xy[1:], np.full((1, 1, 1), np.inf))[0]).all()


def light(pixels: np.ndarray) -> People:
    """One person, all of whose keypoints lie in the middle of the light: turns with the picture."""
    ys, xs = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    weight = pixels[..., 0].astype(float)
    if not weight.sum():
        return nobody()
    at = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()
    box = np.concatenate((at - 20, at + 20))[None]
    return People(box, np.ones(1), np.tile(at, (1, K, 1)), np.ones((1, K)), np.ones((1, K)))


def spot() -> np.ndarray:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[20:31, 85:96] = 255
    return pixels


def test_what_turns_with_the_picture_has_no_error() -> None:
    assert rotation_errors(light, spot(), skeleton.COCO.sigmas, [0, 17, 90, -135]) == pytest.approx([0] * 4, abs=2e-3)


def test_what_is_always_off_to_one_side_has_one() -> None:
    def off(pixels: np.ndarray) -> People:
        people = light(pixels)
        return People(people.boxes, people.scores, people.keypoints + [2, 0], people.confidence, people.logits)

    half_turn = 2 * 2 / 40  # 2 px to the right, and turned back 2 px to the left; the box's side is 40 px
    assert rotation_errors(off, spot(), skeleton.COCO.sigmas, [0, 180]) == pytest.approx([0, half_turn], abs=2e-3)


def test_nobody_found_is_no_number() -> None:
    assert np.isnan(rotation_errors(light, np.zeros((20, 20, 3), np.uint8), skeleton.COCO.sigmas, [90])).all()
