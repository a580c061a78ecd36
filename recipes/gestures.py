"""Do something when a hand is raised or an elbow is bent.

    python -m recipes.gestures --source 0
    python -m recipes.gestures --source 0 --run ./next_slide.sh      # gets the gesture and the person's id

In Python: `Gestures(on_gesture=lambda gesture, person: …)`. A gesture is one when it was held for a moment, and is told
once until the arm is down again.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from recipes.run import Seen, parser, run
from stream.analysis.angles import joint_deg, point, torso
from stream.analysis.timing import EachPerson, Held
from stream.records import Person, Record

HOLD_S = 0.4
RAISED_SHARE = 0.2
"""A raised wrist is above its shoulder by more than this share of the torso's length."""
BENT_DEG = 60.0

Action = Callable[[str, Person], None]


def gestures(person: Person) -> dict[str, bool | None]:
    """Of each gesture whether the person makes it now; None: unknown."""
    made: dict[str, bool | None] = {}
    hips, shoulders = torso(person)
    for side in ("left", "right"):
        wrist, shoulder = point(person, f"{side}_wrist"), point(person, f"{side}_shoulder")
        elbow = joint_deg(person, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        raised = None
        if wrist and shoulder and hips and shoulders:
            length_px = ((hips[0] - shoulders[0]) ** 2 + (hips[1] - shoulders[1]) ** 2) ** 0.5
            raised = shoulder[1] - wrist[1] > RAISED_SHARE * length_px
        made[f"{side} hand raised"] = raised
        # a bent elbow of a raised arm is part of raising it
        made[f"{side} elbow bent"] = None if elbow is None or raised is None else elbow < BENT_DEG and not raised
    return made


class Gestures:
    """Watches the arms of everybody in the picture."""

    def __init__(self, on_gesture: Action | None = None) -> None:
        """Call `on_gesture` with the gesture's name and the person when one begins."""
        self._act = on_gesture
        self._people = EachPerson[dict[str, Held]](dict)

    def update(self, record: Record, now_s: float) -> Seen:
        seen = Seen()
        states = self._people.of((person.id for person in record.people), now_s)
        for person, held in zip(record.people, states, strict=True):
            for gesture, made in gestures(person).items():
                if held.setdefault(gesture, Held(HOLD_S, HOLD_S)).update(made, now_s):
                    seen.events.append(f"#{person.id} {gesture}")
                    if self._act:
                        self._act(gesture, person)
            seen.labels[person.id] = ", ".join(gesture for gesture, state in held.items() if state.on)
        return seen


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    made = parser("gestures", __doc__ or "")
    made.add_argument("--run", metavar="PROGRAM", help="a program to be started at each gesture")
    given = made.parse_args(arguments)

    def act(gesture: str, person: Person) -> None:
        subprocess.run([given.run, gesture, str(person.id)], check=False)

    return run(given, lambda: Gestures(act if given.run else None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
