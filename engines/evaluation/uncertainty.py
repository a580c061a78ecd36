"""How much an answer changes when it should not, and how several answers become one.

Letters: S answers about the same, N people, K keypoints.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from engines.ops.oks import oks
from engines.ops.people import People
from engines.train import augment
from engines.train.pictures import Pixels, warped

F = NDArray[np.floating[Any]]

_DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_SAME_OKS_MIN = 0.1


@contextlib.contextmanager
def dropout_on(network: nn.Module) -> Iterator[None]:
    """Let the dropout layers of a network drop, while all other layers stay as they are."""
    layers = [layer for layer in network.modules() if isinstance(layer, _DROPOUT)]
    modes = [layer.training for layer in layers]
    try:
        for layer in layers:
            layer.train()
        yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.train(mode)


class Spread(NamedTuple):
    """What several answers have in common."""

    xy: F
    """(N, K, 2) their mean."""
    deviation_px: F
    """(N, K) the root of their mean squared distance from it."""


def spread(xy: F) -> Spread:
    """The mean and the spread of S answers (S, N, K, 2), such as those of a network with dropout.

    Source: https://arxiv.org/abs/1506.02142.
    """
    mean = xy.mean(0)
    return Spread(mean, np.sqrt(np.square(xy - mean).sum(-1).mean(0)))


def correlation(first: F, second: F) -> float:
    """Spearman's rank correlation in -1..1 of two lists; equals share their mean rank; NaN where one never changes."""
    ranks = np.array([_ranks(first), _ranks(second)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def fused(xy: F, variance_px2: F) -> tuple[F, F]:
    """One answer from several, each weighted by how sure it is: the one of least variance if errors are independent.

    Args:
        xy: (S, N, K, 2) the answers, as of several heads.
        variance_px2: (S, N, K), above 0; infinite where an answer says nothing.

    Returns:
        (N, K, 2) and (N, K) variance; NaN and infinite where no answer says anything.
    """
    weights = 1 / variance_px2
    total = weights.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.where(weights[..., None] > 0, xy, 0)
        mean = (weights[..., None] * known).sum(0) / total[..., None]
        return mean, 1 / total


def rotation_errors(
    find: Callable[[Pixels], People], pixels: Pixels, sigmas: F, degrees: Sequence[float]
) -> list[float]:
    """Of each angle how far keypoints move when the picture is turned, found, and turned back.

    Args:
        find: gives the people of a picture.
        pixels: the picture; it is turned about its middle, in a frame that holds all of it.
        sigmas: (K,) of OKS: people are the same where they are most alike, from 0.1 on.
        degrees: clockwise.

    Returns:
        Mean distance as a share of the square root of the box's area; NaN where nobody was found again.
    """
    upright = find(pixels)
    height, width = pixels.shape[:2]
    side = int(np.ceil(np.hypot(height, width)))
    errors = []
    for angle in degrees:
        shift = ((side - width) / 2, (side - height) / 2)
        there = augment.turning(angle, 1.0, shift, (height, width))
        turned = find(warped(pixels, there, (side, side), (0, 0, 0)))
        back = (turned.keypoints - there[:, 2]) @ np.linalg.inv(there[:, :2]).T
        errors.append(_error(upright, back, sigmas))
    return errors


def _error(upright: People, xy: F, sigmas: F) -> float:
    if not len(upright) or not len(xy):
        return float("nan")
    alike = oks(upright.keypoints.astype(float), xy, upright.areas_px2.astype(float), sigmas)
    same = alike.max(1) >= _SAME_OKS_MIN
    if not same.any():
        return float("nan")
    distances = np.linalg.norm(upright.keypoints - xy[alike.argmax(1)], axis=-1).mean(1)
    return float((distances / np.sqrt(upright.areas_px2))[same].mean())


def _ranks(values: F) -> F:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: F = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return mean
