"""Say when somebody has been slouching for a while, measured against how they themselves sit.

    python -m recipes.posture --source 0
    python -m recipes.posture --source tcp://127.0.0.1:5556 --after 20

From the side. The angle ear-shoulder-hip of the first seconds is the person's own; slouching is to be 12 degrees below
it for so many seconds, and over when it has been back within 6 degrees.
"""

from __future__ import annotations

import sys

from recipes.run import Seen, parser, run
from stream.analysis.angles import both_sides_deg
from stream.analysis.timing import Baseline, EachPerson, Held
from stream.records import Record

SLOUCH_DEG, STRAIGHT_DEG = 12.0, 6.0
"""Below the person's own angle: slouching begins, and is over."""
BASELINE_S, OVER_S = 5.0, 1.0


class Posture:
    """Watches how everybody in the picture sits."""

    def __init__(self, after_s: float = 10.0) -> None:
        """Speak after so many seconds."""
        self._people = EachPerson(lambda: (Baseline(BASELINE_S), Held(after_s, OVER_S)), forget_s=600)

    def update(self, record: Record, now_s: float) -> Seen:
        seen = Seen()
        states = self._people.of((person.id for person in record.people), now_s)
        for person, (own, slouch) in zip(record.people, states, strict=True):
            angle = both_sides_deg(person, "ear", "shoulder", "hip")
            if angle is None:
                seen.labels[person.id] = "posture unknown"
                continue
            own.update(angle, now_s)
            if own.value is None:
                seen.labels[person.id] = "sit straight"
                continue
            below = own.value - angle
            was_on = slouch.on
            if slouch.update(below > (STRAIGHT_DEG if slouch.on else SLOUCH_DEG), now_s):
                seen.events.append(f"#{person.id} slouching: {below:.0f} degrees below their own {own.value:.0f}")
            elif was_on and not slouch.on:
                seen.events.append(f"#{person.id} straight again")
            seen.labels[person.id] = "slouching" if slouch.on else "straight"
        return seen


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    made = parser("posture", __doc__ or "")
    made.add_argument("--after", type=float, default=10.0, metavar="SECONDS", help="how long before it says so (10)")
    given = made.parse_args(arguments)
    return run(given, lambda: Posture(given.after))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
