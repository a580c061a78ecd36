"""Whether a confidence can be believed: of what is 0.7 sure, seven in ten should be right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]

_LEAST = 1e-6
"""Confidences are kept this far from 0 and 1: their logits must be finite."""
_TEMPERATURES = (0.05, 20.0)
_STEPS = 60
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Reliability:
    """Confidence against the share that is right, in bins of equal width; NaN in bins without anything."""

    confidence: F
    """(bins,) mean confidence."""
    right: F
    """(bins,) share that is right."""
    count: NDArray[np.int64]
    """(bins,)"""
    error: float
    """Expected calibration error: |confidence - right|, weighted by count."""


def reliability(confidence: F, right: NDArray[np.bool_], bins: int = 10) -> Reliability:
    """How often is right what has a confidence in 0..1.

    Source: https://arxiv.org/abs/1706.04599.

    Raises:
        ValueError: a confidence is not in 0..1, or nothing is given.
    """
    if not len(confidence) or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"got {len(confidence)} confidences; expected at least one, all in 0..1")
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(which, confidence, bins) / count
        share = np.bincount(which, right.astype(float), bins) / count
    error = float(np.nansum(np.abs(mean - share) * count) / len(confidence))
    return Reliability(mean, share, count, error)


def cooled(confidence: F, temperature: float) -> F:
    """The confidence whose logit is divided by a temperature: above 1 it is less sure, at 1 unchanged."""
    kept = np.clip(confidence.astype(float), _LEAST, 1 - _LEAST)
    share: F = 1 / (1 + np.exp(-np.log(kept / (1 - kept)) / temperature))
    return share


def temperature(confidence: F, right: NDArray[np.bool_]) -> float:
    """The temperature in 0.05..20 under which the confidences say best what is right.

    It has the least negative log-likelihood, which has one minimum in 1 / temperature; found by golden section.
    """
    low, high = np.log(_TEMPERATURES[0]), np.log(_TEMPERATURES[1])
    for _ in range(_STEPS):
        left, middle = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _loss(confidence, right, np.exp(left)) < _loss(confidence, right, np.exp(middle)):
            high = middle
        else:
            low = left
    return float(np.exp((low + high) / 2))


def _loss(confidence: F, right: NDArray[np.bool_], at: float) -> float:
    share = cooled(confidence, at)
    return float(-np.log(np.clip(np.where(right, share, 1 - share), np.finfo(float).tiny, 1)).mean())
