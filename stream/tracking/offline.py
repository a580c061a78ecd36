"""Smoothing a whole track without lag, gaps and slips included.

Letters: T frames of one track, K keypoints.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded
from scipy.ndimage import median_filter

from configs.schema import SmoothSettings
from stream.tracking.smooth import JUMP_S

F = NDArray[np.floating[Any]]

_UNSURE = 0.01
"""What a keypoint without any confidence weighs, that something holds it in its place."""
_MISSING = 1e-6
"""What a frame without the keypoint weighs: a millionth, that the equations can be solved."""
_SLIP_MIN = 0.1
"""A slip is off by more than this share of the person's size …"""
_SLIP_MADS = 2.0
"""… and this often the usual distance from the running median, which in fast motion is larger."""
_JUMP_SHARE = 0.5
"""It begins or ends with a step between frames longer than this share of how far it is off."""


def smooth_track(times_s: F, xy: F, confidence: F, size_px: F, settings: SmoothSettings) -> F:
    """Keypoints of a track, smoothed over past and future alike: (T, K, 2).

    The curve z that minimises sum of confidence * dt * |xy - z|² + integral of |z''|² / (2 pi cutoff)⁴, by exact times.
    It attenuates a frequency f by 1 / (1 + (f / cutoff)⁴), as a Butterworth filter of order 2 does that is run forward
    and then backward, and shifts nothing; the frame rate does not matter. Slips, which are far from where the
    keypoint is before and after, count as missing; what is missing is bridged.

    Args:
        times_s: (T,), rising.
        xy: (T, K, 2) as detected; any finite value where nothing was.
        confidence: (T, K) in 0..1; NaN: nothing was detected there.
        size_px: (T,), above 0: square root of each box's area.
        settings: `cutoff_hz`.

    Source: P. Eilers, A perfect smoother, https://doi.org/10.1021/ac034173t, here for uneven times.
    """
    if len(times_s) < 3:
        return xy.astype(np.float64)
    missing = np.isnan(confidence)
    steps_s = np.diff(times_s)
    missing |= _slips(xy, size_px, float(np.median(steps_s)), missing)
    lasts_s = np.convolve(steps_s, [0.5, 0.5])[:, None]  # (T, 1): to the middle of the neighbouring frames
    weights = np.where(missing, _MISSING, np.maximum(np.nan_to_num(confidence), _UNSURE)) * lasts_s
    stiffness = _bending(steps_s) / (2 * math.pi * settings.cutoff_hz) ** 4
    smooth = np.empty(xy.shape)
    for keypoint, weight in enumerate(weights.T):
        equations = stiffness.copy()
        equations[2] += weight
        smooth[:, keypoint] = solveh_banded(equations, weight[:, None] * xy[:, keypoint])
    return smooth


def _slips(xy: F, size_px: F, step_s: float, missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T, K): keypoints that jumped away for less than `JUMP_S`, off the running median as Hampel's filter has it.

    Fast motion too is off the median where it turns, but it gets there without a jump.
    """
    window = 2 * math.ceil(JUMP_S / step_s) + 1
    known = _bridged(xy, missing)
    off = _lengths(known - median_filter(known, (window, 1, 1), mode="nearest"))
    usual = median_filter(off, (window, 1), mode="nearest")
    away = (off > _SLIP_MIN * size_px[:, None]) & (off > _SLIP_MADS * usual)
    jump = np.ones((len(xy) + 1, xy.shape[1]), bool)  # before each frame and after the last
    jump[1:-1] = _lengths(np.diff(known, axis=0)) > _JUMP_SHARE * np.maximum(off[1:], off[:-1])
    slips = np.zeros_like(away)
    for keypoint in np.flatnonzero(away.any(0)):
        edges = np.flatnonzero(np.diff(away[:, keypoint], prepend=False, append=False))
        for first, end in edges.reshape(-1, 2):
            slips[first:end, keypoint] = jump[first, keypoint] or jump[end, keypoint]
    return slips


def _lengths(vectors: F) -> F:
    lengths: F = np.sqrt(np.square(vectors).sum(-1))
    return lengths


def _bridged(xy: F, missing: NDArray[np.bool_]) -> F:
    """Keypoints, what is missing on the straight line between its neighbours in time."""
    at, bridged = np.arange(len(xy)), xy.astype(np.float64)
    for keypoint, gone in enumerate(missing.T):
        if gone.any() and not gone.all():
            for axis in range(2):
                bridged[gone, keypoint, axis] = np.interp(at[gone], at[~gone], xy[~gone, keypoint, axis])
    return bridged


def _bending(steps_s: F) -> F:
    """(3, T) upper bands of the matrix B with z B z = the integral of |z''|², z'' constant around each inner frame."""
    before, after = steps_s[:-1], steps_s[1:]
    span = (before + after) / 2
    # z'' = left * z[i - 1] + middle * z[i] + right * z[i + 1]
    left, right = 1 / (before * span), 1 / (after * span)
    middle = -left - right
    bands = np.zeros((3, len(steps_s) + 1))
    bands[2, :-2] += span * left**2
    bands[2, 1:-1] += span * middle**2
    bands[2, 2:] += span * right**2
    bands[1, 1:-1] += span * left * middle
    bands[1, 2:] += span * middle * right
    bands[0, 2:] += span * left * right
    return bands
