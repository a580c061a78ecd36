"""How alike poses are, and which of them repeat a better one.

Letters: R reference poses, N poses of a frame, K keypoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.ops.people import People

F = NDArray[np.floating[Any]]


def oks(ref_xy: F, xy: F, area_px2: F, sigmas: F, visible: F | None = None) -> F:
    """Object keypoint similarity of every reference pose with every pose.

    1 where one lies on the other; a keypoint counts exp(-1/2) where it is off by
    2 * sigma * sqrt(area).

    Args:
        ref_xy: (R, K, 2) pixels.
        xy: (N, K, 2), the same pixels.
        area_px2: (R,), above 0: how large each reference person is.
        sigmas: (K,), unitless falloff of each keypoint.
        visible: (R, K), 1 where a keypoint counts, else 0; or any weights at least 0; None: all count the same.

    Returns:
        (R, N) in 0..1; a row is 0 where no keypoint of its reference counts.

    Raises:
        ValueError: the shapes disagree, or an area is not above 0.

    Source: https://cocodataset.org/#keypoints-eval
    """
    if ref_xy.shape[1:] != xy.shape[1:] or sigmas.shape != xy.shape[1:2]:
        raise ValueError(
            f"got ref_xy {ref_xy.shape}, xy {xy.shape}, sigmas {sigmas.shape}; expected (R, K, 2), (N, K, 2), (K,)"
        )
    if not (area_px2 > 0).all():
        raise ValueError(f"area_px2 must be above 0, got {area_px2.min()} among {len(area_px2)} reference poses")
    counts = np.ones(ref_xy.shape[:2], ref_xy.dtype) if visible is None else visible
    total = np.zeros((len(ref_xy), len(xy)), ref_xy.dtype)
    for near, count in zip(_near(ref_xy, xy, area_px2, sigmas), counts.T, strict=True):
        total += near * count[:, None]
    similarity: F = total / np.maximum(counts.sum(1), np.finfo(total.dtype).tiny)[:, None]
    return np.minimum(similarity, 1)


def sure_oks(ref: People, people: People, sigmas: F) -> F:
    """OKS of every reference person with everybody, each keypoint weighted by both confidences.

    So what one of the two only guessed, such as the legs of a box that ends at the hips, does not part two poses
    of one person.

    Args:
        ref: R people; the areas of their boxes count.
        people: N people in the same pixels.
        sigmas: (K,), unitless falloff of each keypoint.

    Returns:
        (R, N) in 0..1; 0 where no keypoint is sure in both.
    """
    total = np.zeros((len(ref), len(people)), np.float32)
    by_keypoint = _near(ref.keypoints, people.keypoints, ref.areas_px2, sigmas)
    for near, ref_sure, sure in zip(by_keypoint, ref.confidence.T, people.confidence.T, strict=True):
        near *= ref_sure[:, None]
        near *= sure
        total += near
    similarity: F = total / np.maximum(ref.confidence @ people.confidence.T, np.finfo(np.float32).tiny)
    return np.minimum(similarity, 1)


def oks_nms(people: People, sigmas: F, oks_max: float) -> NDArray[np.intp]:
    """People that remain: each whose `sure_oks` with every better-scored remaining person is at most `oks_max`.

    Args:
        people: of one frame.
        sigmas: (K,), unitless falloff of each keypoint.
        oks_max: 0..1.

    Returns:
        Indices, best score first; of equal scores the lower index first.
    """
    order = np.argsort(-people.scores, kind="stable")
    ranked = people.take(order)
    repeats = np.triu(sure_oks(ranked, ranked, sigmas) > oks_max, 1)
    keep = np.ones(len(order), bool)
    for better in np.flatnonzero(repeats.any(1)):
        if keep[better]:
            keep &= ~repeats[better]
    return order[keep]


def _near(ref_xy: F, xy: F, area_px2: F, sigmas: F) -> Iterator[F]:
    """(R, N) terms of OKS, keypoint by keypoint: a crowd's matrices stay in the cache."""
    x, y = np.ascontiguousarray(xy.transpose(2, 1, 0))  # (K, N) each
    for k, sigma in enumerate(sigmas.tolist()):
        d2 = np.square(ref_xy[:, k, :1] - x[k])
        d2 += np.square(ref_xy[:, k, 1:] - y[k])
        d2 *= -1 / (2 * (2 * sigma) ** 2 * area_px2[:, None])
        yield np.exp(d2, out=d2)
