"""Where a person's box is and will be: a Kalman filter with constant velocity, its time in seconds."""

from __future__ import annotations

from typing import Any

import numpy as np
from filterpy.common import inv_diagonal
from filterpy.kalman import KalmanFilter
from numpy.typing import NDArray

F = NDArray[np.floating[Any]]

# Spreads as shares of the person's size, so that near and far people are treated alike.
BOX_SHARE = 0.05
"""How far a detected box's centre and sides are off."""
ACCELERATION_SHARE = 2.0
"""How much the velocity changes in a second, in sizes a second."""
GROWTH_SHARE = 0.4
"""How much the sides change in a second."""
SPEED_SHARE = 2.0
"""How fast a person of whom nothing is known may move, in sizes a second."""


class BoxKalman:
    """The motion of one box.

    The state is centre x, centre y, width, height and the centre's velocity, in pixels and seconds. The
    sides drift instead of having a velocity: they stay between the smallest and the largest ever
    measured, so a person unseen for long neither grows nor vanishes.
    """

    def __init__(self, box: F) -> None:
        """Start at a detected box (4,), x1, y1, x2, y2 in pixels."""
        self._filter = KalmanFilter(dim_x=6, dim_z=4)
        self._filter.inv = inv_diagonal  # no two of what is measured share a noise
        self._filter.H = _SEEN
        self._filter.x[:4, 0] = _centred(box)
        self._filter.P = np.diag([BOX_SHARE**2] * 4 + [SPEED_SHARE**2] * 2) * self._size_px**2

    @property
    def box(self) -> F:
        """(4,) x1, y1, x2, y2 in pixels; both sides are above 0."""
        x, y, width, height = self._filter.x[:4, 0]
        return np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])

    @property
    def velocity_px_s(self) -> F:
        """(2,) of the centre."""
        velocity: F = self._filter.x[4:, 0].copy()
        return velocity

    def state(self) -> F:
        """(6, 7): the mean in the first column, then the covariance."""
        return np.concatenate([self._filter.x, self._filter.P], 1)

    @classmethod
    def of(cls, state: F) -> BoxKalman:
        """The motion whose `state()` this is."""
        motion = cls(np.array([0.0, 0.0, 1.0, 1.0]))
        motion._filter.x, motion._filter.P = state[:, :1].copy(), state[:, 1:].copy()
        return motion

    def predict(self, dt_s: float) -> None:
        """Go on by so many seconds, at least 0; cutting that time into pieces changes nothing."""
        noise = dt_s * (_NOISE_S1 + dt_s * (_NOISE_S2 + dt_s * _NOISE_S3))
        self._filter.predict(F=np.eye(6) + dt_s * _MOVES, Q=noise * self._size_px**2)

    def update(self, box: F) -> None:
        """Take a detected box (4,) into account."""
        self._filter.update(_centred(box)[:, None], R=_BOX_NOISE * self._size_px**2)

    @property
    def _size_px(self) -> float:
        return float(np.sqrt(self._filter.x[2, 0] * self._filter.x[3, 0]))


def _link(*pairs: tuple[int, int]) -> F:
    matrix = np.zeros((6, 6))
    matrix[tuple(zip(*pairs, strict=True))] = 1
    return matrix


_SEEN = np.eye(4, 6)
_BOX_NOISE = np.eye(4) * BOX_SHARE**2
_MOVES = _link((0, 4), (1, 5))
# White acceleration, in powers of time, for a person of size 1.
# Source: Bar-Shalom, Li, Kirubarajan, Estimation with Applications to Tracking and Navigation, 6.2.2.
_NOISE_S3 = ACCELERATION_SHARE**2 * _link((0, 0), (1, 1)) / 3
_NOISE_S2 = ACCELERATION_SHARE**2 * (_MOVES + _MOVES.T) / 2
_NOISE_S1 = ACCELERATION_SHARE**2 * _link((4, 4), (5, 5)) + GROWTH_SHARE**2 * _link((2, 2), (3, 3))


def _centred(box: F) -> F:
    x1, y1, x2, y2 = box.tolist()
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, max(x2 - x1, 1.0), max(y2 - y1, 1.0)])
