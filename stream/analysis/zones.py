"""Who is in a zone and for how long, and who crosses a line. Places in any one unit, such as shares of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from stream.analysis.angles import Xy


def inside(polygon: Sequence[Xy], place: Xy) -> bool:
    """Whether a place lies in a polygon, whose last corner is joined to the first."""
    x, y = place
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise([*polygon, polygon[0]]):
        if (y1 > y) != (y2 > y):
            crossings += x < x1 + (y - y1) / (y2 - y1) * (x2 - x1)
    return crossings % 2 == 1


class Dwell:
    """How long somebody has been in a zone without leaving it for longer than `away_s`."""

    def __init__(self, away_s: float = 1.0) -> None:
        self._away_s = away_s
        self._since_s: float | None = None
        self._inside_s = 0.0

    def update(self, is_inside: bool, now_s: float) -> float:
        """Take whether they are inside now; seconds since they came, 0 outside."""
        if self._since_s is not None and now_s - self._inside_s > self._away_s:
            self._since_s = None
        if is_inside:
            self._since_s, self._inside_s = now_s if self._since_s is None else self._since_s, now_s
        return 0.0 if self._since_s is None else self._inside_s - self._since_s


class Crossing:
    """Tells when somebody goes from one side of a line to the other, between its ends.

    They must be further than `margin` from it on the new side, so who stands on the line crosses nothing.
    """

    def __init__(self, start: Xy, end: Xy, margin: float) -> None:
        self._start, self._end, self._margin = start, end, margin
        self._last: Xy | None = None
        self._side = 0

    def update(self, place: Xy) -> int:
        """Take where they are now; 1: they went to the right, seen from start to end, -1: to the left, 0: neither."""
        (x1, y1), (x2, y2) = self._start, self._end
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        away = ((x2 - x1) * (place[1] - y1) - (y2 - y1) * (place[0] - x1)) / length
        if abs(away) <= self._margin:
            return 0
        side = 1 if away > 0 else -1
        last, self._last = self._last, place
        before, self._side = self._side, side
        return side if before == -side and last is not None and self._between(last, place) else 0

    def _between(self, last: Xy, place: Xy) -> bool:
        """Whether the way from the one to the other meets the line between its ends."""
        (x1, y1), (x2, y2) = last, place
        sides = [(x2 - x1) * (y - y1) - (y2 - y1) * (x - x1) for x, y in (self._start, self._end)]
        return sides[0] * sides[1] <= 0
