"""Count repetitions, and warn where a knee goes beyond the toes.

    python -m recipes.fitness --source squats.mp4
    python -m recipes.fitness --source 0 --exercise curl --output seen

A repetition is down and up again, by the angle of the joint that moves: of squats the knee, of push-ups and curls the
elbow. The knee is judged from the side, while it is bent: COCO has no toes, which lie about 0.45 of a shin before the
ankle.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from recipes.run import Seen, parser, run
from stream.analysis.angles import both_sides_deg, joint_deg, point
from stream.analysis.repetitions import Repetitions
from stream.analysis.timing import EachPerson, Held
from stream.records import Person, Record

TOES_SHARE = 0.45
"""How far toes lie before the ankle, of the length from knee to ankle."""
BENT_DEG = 120.0
WARN_AFTER_S = 0.25


class Exercise(NamedTuple):
    """Which joint moves, and how far."""

    joint: tuple[str, str, str]
    down_deg: float
    up_deg: float


EXERCISES = {
    "squat": Exercise(("hip", "knee", "ankle"), 100, 160),
    "push-up": Exercise(("shoulder", "elbow", "wrist"), 90, 155),
    "curl": Exercise(("shoulder", "elbow", "wrist"), 60, 145),
}


class Fitness:
    """Counts one exercise of everybody in the picture."""

    def __init__(self, exercise: str = "squat") -> None:
        self._name, self._exercise = exercise, EXERCISES[exercise]
        _, down, up = self._exercise
        self._people = EachPerson(lambda: (Repetitions(down, up), Held(WARN_AFTER_S, WARN_AFTER_S)), forget_s=60)

    def update(self, record: Record, now_s: float) -> Seen:
        seen = Seen()
        states = self._people.of((person.id for person in record.people), now_s)
        for person, (repetitions, forward) in zip(record.people, states, strict=True):
            if repetitions.update(both_sides_deg(person, *self._exercise.joint)):
                seen.events.append(f"#{person.id} {self._name} {repetitions.count}")
            if self._name == "squat" and forward.update(knee_over_toes(person), now_s):
                seen.events.append(f"#{person.id} warning: knee over toes")
            warning = ", knee over toes" if forward.on else ""
            seen.labels[person.id] = f"{self._name} {repetitions.count}{warning}"
        return seen


def knee_over_toes(person: Person) -> bool | None:
    """Whether a bent knee is beyond the toes on either side; None: unknown on both."""
    known = []
    for side in ("left", "right"):
        knee, ankle = point(person, f"{side}_knee"), point(person, f"{side}_ankle")
        bent = joint_deg(person, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        if knee is not None and ankle is not None and bent is not None:
            shin_px = ((knee[0] - ankle[0]) ** 2 + (knee[1] - ankle[1]) ** 2) ** 0.5
            known.append(bent < BENT_DEG and abs(knee[0] - ankle[0]) > TOES_SHARE * shin_px)
    return any(known) if known else None


def main(arguments: list[str]) -> int:
    """Run the command line; its exit code."""
    made = parser("fitness", __doc__ or "")
    made.add_argument("--exercise", choices=tuple(EXERCISES), default="squat")
    given = made.parse_args(arguments)
    return run(given, lambda: Fitness(given.exercise))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
