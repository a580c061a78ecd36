"""Falls, from how a person's torso and legs lean."""

from __future__ import annotations

from stream.analysis.angles import legs, tilt_deg, torso
from stream.analysis.timing import Held
from stream.records import Person

UPRIGHT_DEG, LYING_DEG = 35.0, 60.0
"""The torso leans less than the one while standing or sitting, more than the other while lying."""
LEGS_DEG = 45.0
"""While lying the legs lean more than this; while bending down they stand."""


class Fall:
    """Somebody who was upright lies within `quick_s`, and still does `lying_s` later.

    Who lies down slowly has not fallen; who gets up at once is well. A fall towards the camera cannot be told, nor one
    in which the person gets another id.
    """

    def __init__(self, quick_s: float = 0.8, lying_s: float = 2.0) -> None:
        self._quick_s = quick_s
        self._lying = Held(lying_s, 0.5)
        self._upright_s: float | None = None
        """When last seen upright."""
        self._fell = False
        """The way down was quick."""

    @property
    def on(self) -> bool:
        """Whether the person lies there after a fall."""
        return self._fell and self._lying.on

    def update(self, person: Person, now_s: float) -> bool:
        """Take the person of the next frame; whether the fall is certain at this very moment."""
        tilt = tilt_deg(*torso(person))
        if tilt is None:
            return False
        stand = tilt_deg(*legs(person))
        lying = tilt >= LYING_DEG and (stand is None or stand >= LEGS_DEG)
        if tilt <= UPRIGHT_DEG:
            self._upright_s, self._fell = now_s, self._fell and self._lying.on
        elif lying and self._upright_s is not None:
            self._fell |= now_s - self._upright_s <= self._quick_s
            self._upright_s = None
        return self._lying.update(lying, now_s) and self._fell
