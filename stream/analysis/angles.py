"""Angles and places of one person, None where a keypoint is not sure. Degrees; pixels of the upright source frame."""

from __future__ import annotations

import math

from stream.records import Person

SURE_MIN = 0.3
"""A keypoint of lower confidence is unknown."""

Xy = tuple[float, float]


def point(person: Person, *names: str, sure_min: float = SURE_MIN) -> Xy | None:
    """Place of a keypoint; the middle of several, all of which must be sure."""
    found = [person.keypoint(name) for name in names]
    if any(sure < sure_min for _, _, sure in found):
        return None
    return sum(x for x, _, _ in found) / len(found), sum(y for _, y, _ in found) / len(found)


def joint_deg(person: Person, one: str, joint: str, other: str) -> float | None:
    """Angle at a joint between the lines to two others, 0 (folded) to 180 (straight); None too where two coincide."""
    a, b, c = point(person, one), point(person, joint), point(person, other)
    if a is None or b is None or c is None or b in (a, c):
        return None
    first = math.atan2(a[1] - b[1], a[0] - b[0])
    second = math.atan2(c[1] - b[1], c[0] - b[0])
    turn = abs(math.degrees(first - second)) % 360
    return min(turn, 360 - turn)


def both_sides_deg(person: Person, one: str, joint: str, other: str) -> float | None:
    """Mean of a joint's angle left and right, or that of the side which is sure.

    Args:
        person: whose.
        one: keypoint without its side, as hip.
        joint: as knee.
        other: as ankle.
    """
    sides = (joint_deg(person, *(f"{side}_{name}" for name in (one, joint, other))) for side in ("left", "right"))
    known = [angle for angle in sides if angle is not None]
    return sum(known) / len(known) if known else None


def tilt_deg(lower: Xy | None, upper: Xy | None) -> float | None:
    """How far a line leans from upright: 0 where `upper` is straight above, 90 where level, 180 upside down."""
    if lower is None or upper is None or lower == upper:
        return None
    return math.degrees(math.atan2(abs(upper[0] - lower[0]), lower[1] - upper[1]))


def torso(person: Person) -> tuple[Xy | None, Xy | None]:
    """Middle of the hips and middle of the shoulders; of one side where the other is not sure."""
    hips, shoulders = (
        point(person, f"left_{name}", f"right_{name}")
        or point(person, f"left_{name}")
        or point(person, f"right_{name}")
        for name in ("hip", "shoulder")
    )
    return hips, shoulders


def legs(person: Person) -> tuple[Xy | None, Xy | None]:
    """Middle of the ankles, or of the knees where they are not sure, and middle of the hips."""
    low = point(person, "left_ankle", "right_ankle") or point(person, "left_knee", "right_knee")
    return low, torso(person)[0]


def feet(person: Person) -> Xy:
    """Where a person stands: the middle of the ankles, or of the box's lower edge where they are not sure."""
    x1, _, x2, y2 = person.box
    return point(person, "left_ankle", "right_ankle") or ((x1 + x2) / 2, y2)
