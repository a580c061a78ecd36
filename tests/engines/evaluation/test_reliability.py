"""Confidence that is true has no error; one that is too sure is cooled by what made it so."""

from __future__ import annotations

import numpy as np
import pytest

from engines.evaluation.reliability import cooled, reliability, temperature


def drawn(count: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    """Confidences, and whether each is right: as often as it says."""
    rng = np.random.default_rng(0)
    confidence = rng.random(count)
    return confidence, rng.random(count) < confidence


def test_a_true_confidence_has_no_error() -> None:
    of = reliability(*drawn())
    assert of.error < 0.005
    assert of.right == pytest.approx(of.confidence, abs=0.02)
    assert of.count.sum() == 200_000


def test_one_that_is_always_sure_and_half_right_is_off_by_half() -> None:
    of = reliability(np.full(1000, 1.0), np.arange(1000) % 2 == 0)
    assert of.error == pytest.approx(0.5)
    assert (of.count[-1], np.isnan(of.right[:-1]).all()) == (1000, True)


@pytest.mark.parametrize("made", [0.3, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(made: float) -> None:
    confidence, right = drawn()
    assert temperature(cooled(confidence, 1 / made), right) == pytest.approx(made, rel=0.02)


def test_cooling_keeps_the_order_and_undoes_itself() -> None:
    confidence = np.linspace(0.01, 0.99, 50)
    there = cooled(confidence, 3.0)
    assert (np.diff(there) > 0).all()
    assert cooled(there, 1 / 3) == pytest.approx(confidence)
    assert cooled(np.array([0.0, 1.0]), 0.05) == pytest.approx([0, 1])


@pytest.mark.parametrize("confidence", [np.zeros(0), np.array([0.5, 1.5]), np.array([np.nan])])
def test_what_is_no_confidence_is_refused(confidence: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"got \d confidences; expected at least one, all in 0\.\.1"):
        reliability(confidence, np.zeros(len(confidence), bool))
