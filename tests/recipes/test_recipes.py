"""Counts and alarms are exactly right on made motion, at 15 and at 60 frames a second, and with keypoints missing."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from made_motion import HEIGHT, WIDTH, Pose, figure, motion, of_people, squat, wave

from recipes.falls import Falls
from recipes.fitness import Fitness
from recipes.gestures import Gestures
from recipes.posture import Posture
from recipes.run import Recipe
from recipes.zones import Zones

RATES = pytest.mark.parametrize("fps", [15.0, 60.0])


def events(
    recipe: Recipe, pose_at: Callable[[float], Pose], seconds: float, fps: float, unsure: float = 0.1
) -> list[tuple[float, str]]:
    """When and what the recipe told, with a pixel of noise and every tenth keypoint missing."""
    told = []
    for record, now_s in motion(pose_at, seconds, fps, noise_px=1.0, unsure=unsure):
        told += [(now_s, event) for event in recipe.update(record, now_s).events]
    return told


@RATES
def test_squats_are_counted_and_half_ones_are_not(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        half = 10 < time_s < 16  # three that reach 130 degrees
        return squat(wave(time_s, 2) * (0.5 if half else 1), 20)

    told = events(Fitness(), pose_at, 30, fps)
    assert [text for _, text in told] == [f"#1 squat {count}" for count in range(1, 13)]
    # the first is done when it comes up through 160 degrees
    assert told[0][0] == pytest.approx(1.8, abs=0.15)


@RATES
def test_a_knee_over_the_toes_is_warned_of_once_each_time(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        return squat(wave(time_s, 3), 38 if 6 < time_s < 15 else 20)

    told = [(int(now_s / 3), text) for now_s, text in events(Fitness(), pose_at, 21, fps) if "warning" in text]
    assert told == [(2, "#1 warning: knee over toes"), (3, told[0][1]), (4, told[0][1])]


@RATES
@pytest.mark.parametrize(("exercise", "bend"), [("curl", 140.0), ("push-up", 110.0)])
def test_other_exercises_are_counted_by_the_elbow(exercise: str, bend: float, fps: float) -> None:
    told = events(Fitness(exercise), lambda time_s: Pose(elbow=bend * wave(time_s, 1.5)), 12, fps)
    assert [text for _, text in told] == [f"#1 {exercise} {count}" for count in range(1, 9)]


@RATES
def test_slouching_is_told_after_a_while_against_the_person_s_own_posture(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        slouch = 20 <= time_s < 40 or 50 <= time_s < 55  # the second is too short
        return Pose(thigh=90, torso=5, neck=12 + (20 if slouch else 0))  # who sits so always is not slouching

    told = events(Posture(after_s=10), pose_at, 70, fps)
    assert [text.split(":")[0] for _, text in told] == ["#1 slouching", "#1 straight again"]
    assert [now_s for now_s, _ in told] == pytest.approx([30, 41], abs=0.4)


def test_posture_is_unknown_where_the_hips_are() -> None:
    recipe = Posture()
    person = figure(Pose())
    hidden = [(0.0, 0.0, 0.0) if 11 <= at <= 12 else point for at, point in enumerate(person.keypoints)]
    record = of_people(0, 0.0, [type(person)(1, 0.9, person.box, hidden, person.raw_keypoints, "seen")])
    assert recipe.update(record, 0.0).labels == {1: "posture unknown"}


@RATES
def test_gestures_are_told_once_and_act(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        if 2 <= time_s < 5:
            return Pose(arm=170, elbow=5)  # raised
        if 7 <= time_s < 9:
            return Pose(arm=20, elbow=140)  # bent
        if 11 <= time_s < 11.2:
            return Pose(arm=170)  # too short
        return Pose()

    acted: list[tuple[str, int]] = []
    told = events(Gestures(lambda gesture, person: acted.append((gesture, person.id))), pose_at, 14, fps, unsure=0.05)
    both = [[f"#1 {side} {what}" for side in ("left", "right")] for what in ("hand raised", "elbow bent")]
    assert sorted(text for _, text in told) == sorted(both[0] + both[1])
    assert acted == [(text.removeprefix("#1 "), 1) for _, text in told]
    assert [now_s for now_s, _ in told] == pytest.approx([2.4, 2.4, 7.4, 7.4], abs=0.3)


def falling(start_s: float, lasts_s: float, up_s: float = math.inf) -> Callable[[float], Pose]:
    def pose_at(time_s: float) -> Pose:
        down = min(max((time_s - start_s) / lasts_s, 0), 1) if time_s < up_s else 0.0
        return Pose(whole=88 * down, ankle=(150, 440))

    return pose_at


@RATES
@pytest.mark.parametrize(
    ("pose_at", "alerts_s"),
    [
        (falling(5, 0.6), [7.5]),
        (falling(5, 4.0), []),  # lies down
        (falling(5, 0.6, up_s=7.0), []),  # gets up at once
        (lambda time_s: Pose(torso=85 * min(max(time_s - 5, 0), 1)), []),  # bends down and stays so
        (lambda time_s: Pose(thigh=85 * min(max(2 * (time_s - 5), 0), 1)), []),  # sits down
    ],
    ids=["falls", "lies down", "gets up", "bends down", "sits down"],
)
def test_a_fall_is_alerted_of_once_and_nothing_else_is(
    pose_at: Callable[[float], Pose], alerts_s: list[float], fps: float
) -> None:
    told = events(Falls(), pose_at, 20, fps)
    assert [text for _, text in told] == ["#1 ALERT: has fallen"] * len(alerts_s)
    assert [now_s for now_s, _ in told] == pytest.approx(alerts_s, abs=0.3)


@RATES
def test_a_second_fall_is_another_alert(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        return falling(2, 0.6, up_s=8)(time_s) if time_s < 10 else falling(12, 0.6)(time_s)

    assert [round(now_s) for now_s, _ in events(Falls(), pose_at, 20, fps)] == [4, 14]


@RATES
def test_who_stays_in_a_zone_is_told_of_once_a_visit(fps: float) -> None:
    def pose_at(time_s: float) -> Pose:
        inside = 3 <= time_s < 15 or 20 <= time_s < 25 or 30 <= time_s < 42
        return Pose(ankle=(300.0 if inside else 100.0, 400.0))

    zone = [(0.3, 0.5), (0.7, 0.5), (0.7, 1.0), (0.3, 1.0)]
    told = events(Zones(zone, dwell_s=10), pose_at, 45, fps)
    assert [text for _, text in told] == ["#1 in the zone for 10 s"] * 2
    assert [now_s for now_s, _ in told] == pytest.approx([13, 40], abs=0.3)


@RATES
def test_crossings_are_counted_by_their_direction_and_standing_on_the_line_is_none(fps: float) -> None:
    def walk(time_s: float) -> Pose:
        if time_s < 20:  # to the right, back, and so on; 5 s each way
            return Pose(ankle=(WIDTH * (0.2 + 0.6 * wave(time_s, 10)), 400.0))
        return Pose(ankle=(WIDTH * min(0.2 + 0.1 * (time_s - 20), 0.5), 400.0))  # and stays on the line

    recipe = Zones(line=[(0.5, 1.0), (0.5, 0.0)], dwell_s=1)
    told = events(recipe, walk, 30, fps, unsure=0.0)
    ways = ["to the right: 1", "to the left: 1", "to the right: 2", "to the left: 2"]
    assert [text for _, text in told] == [f"#1 crossed {way}" for way in ways]
    assert recipe.crossed == {"right": 2, "left": 2}


def test_who_walks_past_the_end_of_a_line_does_not_cross_it() -> None:
    recipe = Zones(line=[(0.5, 0.5), (0.5, 0.0)])
    assert events(recipe, lambda time_s: Pose(ankle=(WIDTH * time_s / 5, HEIGHT * 0.9)), 5, 30, unsure=0.0) == []


def test_people_are_told_apart() -> None:
    recipe = Fitness()
    for index in range(15 * 8 + 1):
        now_s = index / 15
        people = [figure(squat(wave(now_s, 2), 20), 1), figure(squat(wave(now_s, 4), 20), 2)]
        seen = recipe.update(of_people(index, now_s, people), now_s)
    assert seen.labels == {1: "squat 4", 2: "squat 2"}
