"""Say who stays too long in a zone, and count who crosses a line.

    python -m recipes.zones --source shop.mp4 --zone 0.1,0.5,0.4,0.5,0.4,1,0.1,1 --dwell 10
    python -m recipes.zones --source 0 --line 0.5,0,0.5,1

Places are shares of the picture's width and height, x,y after x,y; a person is where their feet are. Right and left of
a line are those of somebody who goes from its start to its end.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from recipes.run import Seen, parser, run
from stream.analysis.angles import Xy, feet
from stream.analysis.timing import EachPerson
from stream.analysis.zones import Crossing, Dwell, inside
from stream.records import Record

MARGIN = 0.02
"""Somebody must be so far beyond a line, as a share of the picture."""


class Zones:
    """Watches a zone, or a line, or both, in one picture."""

    def __init__(self, zone: Sequence[Xy] = (), line: Sequence[Xy] = (), dwell_s: float = 10.0) -> None:
        self._zone, self._line, self._dwell_s = zone, line, dwell_s
        self._dwells = EachPerson(Dwell)
        self._told: set[int] = set()
        self._crossings = EachPerson(lambda: Crossing(line[0], line[1], MARGIN) if line else None)
        self.crossed: Counter[str] = Counter()

    def update(self, record: Record, now_s: float) -> Seen:
        seen = Seen()
        ids = [person.id for person in record.people]
        dwells, crossings = self._dwells.of(ids, now_s), self._crossings.of(ids, now_s)
        for person, dwell, crossing in zip(record.people, dwells, crossings, strict=True):
            x, y = feet(person)
            place = (x / record.width, y / record.height)
            if self._zone:
                self._dwell(person.id, dwell.update(inside(self._zone, place), now_s), seen)
            if crossing and (way := crossing.update(place)):
                to = "right" if way > 0 else "left"
                self.crossed[to] += 1
                seen.events.append(f"#{person.id} crossed to the {to}: {self.crossed[to]}")
        shapes = ([*self._zone, *self._zone[:1]], self._line)
        seen.lines = [[(x * record.width, y * record.height) for x, y in shape] for shape in shapes if shape]
        return seen

    def _dwell(self, number: int, stayed_s: float, seen: Seen) -> None:
        if stayed_s == 0:
            self._told.discard(number)
            return
        seen.labels[number] = f"{stayed_s:.0f} s"
        if stayed_s >= self._dwell_s - 1e-6 and number not in self._told:
            self._told.add(number)
            seen.events.append(f"#{number} in the zone for {self._dwell_s:g} s")


def _places(text: str) -> list[Xy]:
    numbers = [float(each) for each in text.split(",")]
    if len(numbers) % 2 or len(numbers) < 4:
        raise argparse.ArgumentTypeError(f"got {text}, expected x,y,x,y,… as shares of the picture")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    made = parser("zones", __doc__ or "")
    made.add_argument("--zone", type=_places, default=[], metavar="X,Y,X,Y,…", help="corners of a zone")
    made.add_argument("--line", type=_places, default=[], metavar="X,Y,X,Y", help="start and end of a line")
    made.add_argument("--dwell", type=float, default=10.0, metavar="SECONDS", help="what is too long (10)")
    given = made.parse_args(arguments)
    if not given.zone and not given.line:
        made.error("give --zone or --line")
    return run(given, lambda: Zones(given.zone, given.line, given.dwell))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
