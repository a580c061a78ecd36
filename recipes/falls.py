"""Alert when somebody falls and does not get up.

    python -m recipes.falls --source rtsp://camera/1
    python -m recipes.falls --source tcp://127.0.0.1:5556 --name hall

A fall: the torso was upright, lies within 0.8 s, and still does two seconds later. Who lies down slowly has not fallen.
"""

from __future__ import annotations

import sys

from recipes.run import Seen, parser, run
from stream.analysis.falls import Fall
from stream.analysis.timing import EachPerson
from stream.records import Record


class Falls:
    """Watches everybody in the picture."""

    def __init__(self, lying_s: float = 2.0) -> None:
        """Alert after somebody has lain for so long."""
        self._people = EachPerson(lambda: Fall(lying_s=lying_s))

    def update(self, record: Record, now_s: float) -> Seen:
        seen = Seen()
        states = self._people.of((person.id for person in record.people), now_s)
        for person, fall in zip(record.people, states, strict=True):
            if fall.update(person, now_s):
                seen.events.append(f"#{person.id} ALERT: has fallen")
            if fall.on:
                seen.labels[person.id] = "HAS FALLEN"
        return seen


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    made = parser("falls", __doc__ or "")
    made.add_argument("--lying", type=float, default=2.0, metavar="SECONDS", help="how long before it alerts (2)")
    given = made.parse_args(arguments)
    return run(given, lambda: Falls(given.lying))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
