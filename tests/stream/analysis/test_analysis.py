"""Angles by the plane's own laws, counters and clocks by their words; what is not sure is unknown."""

from __future__ import annotations

import math

import pytest
from made_motion import Pose, figure
from msgspec import structs

from stream.analysis.angles import both_sides_deg, feet, joint_deg, point, tilt_deg, torso
from stream.analysis.repetitions import Repetitions
from stream.analysis.timing import Baseline, EachPerson, Held
from stream.analysis.zones import Crossing, Dwell, inside
from stream.records import Person


def hidden(person: Person, *names: str) -> Person:
    sure = dict.fromkeys(names, 0.1)
    from configs.coco import KEYPOINTS

    points = [(x, y, sure.get(name, c)) for name, (x, y, c) in zip(KEYPOINTS, person.keypoints, strict=True)]
    return structs.replace(person, keypoints=points)


@pytest.mark.parametrize("elbow", [0.0, 30.0, 90.0, 150.0])
@pytest.mark.parametrize("turn", [0.0, 70.0, 200.0])
def test_a_joint_s_angle_is_the_same_however_the_person_is_turned(elbow: float, turn: float) -> None:
    person = figure(Pose(elbow=elbow, arm=25, whole=turn))
    assert joint_deg(person, "left_shoulder", "left_elbow", "left_wrist") == pytest.approx(180 - elbow)


def test_an_unsure_keypoint_makes_an_angle_unknown_and_the_other_side_speaks_for_both() -> None:
    person = hidden(figure(Pose(thigh=60)), "left_knee")
    assert joint_deg(person, "left_hip", "left_knee", "left_ankle") is None
    assert both_sides_deg(person, "hip", "knee", "ankle") == pytest.approx(120)
    assert both_sides_deg(hidden(person, "left_knee", "right_ankle"), "hip", "knee", "ankle") is None
    assert point(person, "left_knee", "right_knee") is None


@pytest.mark.parametrize("lean", [0.0, 40.0, 90.0, 130.0])
def test_a_lean_is_told_from_upright(lean: float) -> None:
    assert tilt_deg(*torso(figure(Pose(torso=lean)))) == pytest.approx(lean)
    assert tilt_deg(*torso(figure(Pose(torso=-lean)))) == pytest.approx(lean)
    assert tilt_deg(*torso(hidden(figure(Pose(torso=lean)), "left_hip"))) == pytest.approx(lean)
    assert tilt_deg(*torso(hidden(figure(Pose()), "left_hip", "right_hip"))) is None


def test_somebody_stands_at_the_ankles_or_at_the_box_s_lower_edge() -> None:
    person = figure(Pose(ankle=(100, 400)))
    assert feet(person) == pytest.approx((100, 400))
    x1, _, x2, y2 = person.box
    assert feet(hidden(person, "left_ankle")) == pytest.approx(((x1 + x2) / 2, y2))


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([180, 90, 180, 90, 180], 2),
        ([90, 180, 90, 180], 1),  # first seen down
        ([180, 90, 100, 90, 100, 180], 1),  # trembles below
        ([180, 110, 180, 110, 180], 0),  # not deep enough
        ([180, None, 90, None, 180], 1),
        ([180, 90, 150, 90, 150], 0),  # never up again
    ],
)
def test_repetitions(values: list[float | None], count: int) -> None:
    counter = Repetitions(100, 160)
    assert sum(counter.update(value) for value in values) == count == counter.count


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="low is 160, high is 100; low must be below high"):
        Repetitions(160, 100)


def test_a_condition_begins_late_and_ends_late_and_what_is_unknown_changes_nothing() -> None:
    held = Held(after_s=1.0, over_s=0.5)
    began = [held.update(True, now_s) for now_s in (0.0, 0.5, 0.9)]
    assert began == [False] * 3
    assert not held.update(None, 2.0)
    assert held.update(True, 2.1)
    assert not held.update(False, 2.2)
    assert not held.update(True, 2.4)
    assert not held.update(False, 2.5)
    assert held.on
    held.update(False, 3.0)
    assert not held.on
    assert not Held(1.0, 1.0).update(False, 9.0)


def test_a_baseline_is_the_median_of_the_seconds_in_which_it_was_known() -> None:
    own = Baseline(1.0)
    for index in range(5):  # then nothing for a minute, which counts as half a second
        own.update(170 if index else 20, index / 10)
    assert own.value is None
    own.update(171, 60.0)
    assert own.value is None
    own.update(169, 60.1)
    assert own.value == 170
    own.update(0, 99)
    assert own.value == 170


def test_somebody_is_forgotten_after_a_while() -> None:
    people = EachPerson(list[int], forget_s=5)
    people.of([1, 2], 0)[0].append(7)
    assert people.of([2, 1], 4) == [[], [7]]
    people.of([2], 8)
    assert people.of([1], 9) == [[7]]
    people.of([], 20)
    assert people.of([1], 20) == [[]]


def test_a_place_is_inside_a_polygon_that_is_not_convex() -> None:
    corner = [(0, 0), (4, 0), (4, 4), (2, 4), (2, 2), (0, 2)]
    assert [inside(corner, place) for place in ((1, 1), (3, 3), (3, 1), (1, 3), (5, 1), (-1, 1))] == [
        *[True] * 3,
        *[False] * 3,
    ]


def test_a_stay_goes_on_over_a_moment_outside() -> None:
    dwell = Dwell(away_s=1.0)
    stay = [(True, 0), (True, 1), (True, 2), (False, 2.5), (True, 3)]
    assert [dwell.update(where, now_s) for where, now_s in stay] == [0, 1, 2, 2, 3]
    assert dwell.update(False, 6) == 0
    assert dwell.update(True, 7) == 0
    assert dwell.update(True, 8) == 1


@pytest.mark.parametrize("turn", range(0, 360, 30))
def test_right_and_left_turn_with_the_line(turn: int) -> None:
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def turned(x: float, y: float) -> tuple[float, float]:
        return x * cos - y * sin, x * sin + y * cos

    up = Crossing(turned(0, 1), turned(0, -1), margin=0.1)  # y points down: from below to above
    ways = [up.update(turned(x, 0)) for x in (-1, -0.05, 0.05, 1, 0.05, -1)]
    assert ways == [0, 0, 0, 1, 0, -1]
