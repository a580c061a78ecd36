"""Steadying keypoints: a moving average in seconds, or the one-euro filter.

Letters: R people who are smoothed, M of them who were seen, K keypoints.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from configs.schema import SmoothSettings

F = NDArray[np.floating[Any]]
Which = NDArray[np.intp] | NDArray[np.bool_]

JUMP_S = 0.15
"""How long a keypoint must stay away to be believed: longer than most slips of left for right."""
SPEED_GAIN = 10.0
"""One-euro: how much its rate, one over its time constant, rises with a speed of one person's size a second."""
SPEED_TAU_S = 0.16
"""One-euro: time constant of the speed itself; the paper's 1 Hz."""


class SmootherState(Struct, frozen=True):
    """All that a smoother remembers; see its attributes of the same names."""

    xy: NDArray[np.float64]
    seen_xy: NDArray[np.float64]
    velocity_px_s: NDArray[np.float64]
    away_s: NDArray[np.float64]
    fresh: NDArray[np.bool_]


class Smoother:
    """The smoothed keypoints of some people.

    Time runs for a keypoint as fast as it is sure: alpha = 1 - exp(-confidence * dt / tau). So a guessed
    keypoint hardly moves the average, two steps of half the time are one step, and the frame rate does not matter.

    A keypoint further off than `jump_share` of the person's size has either jumped or is wrong. It is
    followed as if it were only that far off; once it has stayed away for `JUMP_S` it has jumped, and starts anew.
    """

    def __init__(self, keypoints: int, settings: SmoothSettings) -> None:
        """Start with nobody; `keypoints` is K."""
        self._settings = settings
        self.xy = np.zeros((0, keypoints, 2))
        """(R, K, 2) smoothed keypoints, in the pixels they were given in."""
        self._seen_xy = self.xy
        self._velocity_px_s = self.xy
        self._away_s = self.xy[..., 0]
        self._fresh: NDArray[np.bool_] = np.zeros(0, bool)

    def add(self, xy: F) -> None:
        """Go on with more people, seen for the first time at (M, K, 2)."""
        still = np.zeros(xy.shape)
        self.xy = np.concatenate([self.xy, xy])
        self._seen_xy = np.concatenate([self._seen_xy, xy])
        self._velocity_px_s = np.concatenate([self._velocity_px_s, still])
        self._away_s = np.concatenate([self._away_s, still[..., 0]])
        self._fresh = np.concatenate([self._fresh, still[:, 0, 0] > 0])

    def keep(self, which: Which) -> None:
        """Go on with these people alone."""
        self.xy, self._seen_xy, self._velocity_px_s = self.xy[which], self._seen_xy[which], self._velocity_px_s[which]
        self._away_s, self._fresh = self._away_s[which], self._fresh[which]

    def restart(self) -> None:
        """Let everybody start anew when next seen: time has broken."""
        self._fresh[:] = True

    def state(self) -> SmootherState:
        """All that it remembers."""
        return SmootherState(self.xy, self._seen_xy, self._velocity_px_s, self._away_s, self._fresh)

    def restore(self, state: SmootherState) -> None:
        """Go on from what another smoother with the same settings remembered."""
        self.xy, self._seen_xy = state.xy.copy(), state.seen_xy.copy()
        self._velocity_px_s, self._away_s = state.velocity_px_s.copy(), state.away_s.copy()
        self._fresh = state.fresh.copy()

    def update(self, which: Which, xy: F, confidence: F, size_px: F, dt_s: F) -> None:
        """Take detected keypoints into account.

        Args:
            which: M of the people.
            xy: (M, K, 2) as detected.
            confidence: (M, K) in 0..1.
            size_px: (M,), above 0: square root of each box's area.
            dt_s: (M,), at least 0: how long ago each was seen before.
        """
        tau_s, off = self._settings.tau_s, xy - self.xy[which]
        if self._settings.method in ("none", "offline") or tau_s == 0:
            self.xy[which] = xy
            return
        share = np.sqrt(np.square(off).sum(-1)) / (self._settings.jump_share * size_px[:, None])
        away_s = np.where(share > 1, self._away_s[which] + dt_s[:, None], 0)
        alpha = -np.expm1(-confidence * dt_s[:, None] * self._rates_hz(which, xy, size_px, dt_s))
        anew = (away_s >= JUMP_S) | self._fresh[which, None]
        self.xy[which] += np.where(anew, 1, alpha / np.maximum(share, 1))[..., None] * off
        self._away_s[which] = away_s
        self._fresh[which] = False

    def _rates_hz(self, which: Which, xy: F, size_px: F, dt_s: F) -> F | float:
        """Rate, in Hz, to follow each keypoint at: one over its time constant.

        Source of the one-euro filter: Casiez, Roussel, Vogel, https://doi.org/10.1145/2207676.2208639
        """
        if self._settings.method == "ema":
            return 1 / self._settings.tau_s
        dt = dt_s[:, None, None]
        velocity, moved = self._velocity_px_s[which], xy - self._seen_xy[which]
        velocity += -np.expm1(-dt / SPEED_TAU_S) / np.maximum(dt, 1e-9) * (moved - velocity * dt)
        velocity[self._fresh[which]] = 0
        self._velocity_px_s[which], self._seen_xy[which] = velocity, xy
        speed: F = np.sqrt(np.square(velocity).sum(-1)) / size_px[:, None]
        return 1 / self._settings.tau_s + SPEED_GAIN * speed
