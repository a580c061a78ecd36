"""A figure seen from its right side, facing right, posed by its joints, and its motion at any frame rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from configs.coco import KEYPOINTS
from stream.records import Person, Record

TORSO, THIGH, SHIN, UPPER_ARM, FOREARM, NECK = 120.0, 90.0, 90.0, 65.0, 60.0, 40.0
WIDTH, HEIGHT = 640, 480
Xy = tuple[float, float]


class Pose(NamedTuple):
    """Degrees: of the torso and neck forward from upright, of the shin forward and the thigh back from upright, of the
    upper arm forward from hanging and of the forearm on from the upper arm."""

    torso: float = 0.0
    neck: float = 0.0
    shin: float = 0.0
    thigh: float = 0.0
    arm: float = 0.0
    elbow: float = 0.0
    ankle: Xy = (320.0, 440.0)
    whole: float = 0.0
    """Degrees that all of it has fallen forward around the ankle."""


def figure(pose: Pose, number: int = 1, noise: Callable[[], float] = lambda: 0.0, unsure: float = 0.0) -> Person:
    """The person in that pose.

    Args:
        pose: of both sides alike.
        number: its id.
        noise: added to each coordinate, pixels.
        unsure: share of keypoints that are not found: 0, 0 with confidence 0.01; by `noise`'s luck.
    """
    joints = _joints(pose)
    rng = np.random.default_rng(abs(int(1e6 * noise())) + 1)
    points = []
    for name in KEYPOINTS:
        x, y = joints[name.split("_")[-1]]
        lost = rng.random() < unsure
        points.append((0.0, 0.0, 0.01) if lost else (x + noise(), y + noise(), 0.9))
    xs, ys = zip(*joints.values(), strict=True)
    box = (min(xs) - 15, min(ys) - 15, max(xs) + 15, max(ys) + 15)
    return Person(number, 0.9, box, points, [(x, y) for x, y, _ in points], "seen")


def motion(
    pose_at: Callable[[float], Pose], seconds: float, fps: float, noise_px: float = 0.0, unsure: float = 0.0
) -> Iterator[tuple[Record, float]]:
    """Records of one person, each with its time in seconds, as `update` takes them."""
    rng = np.random.default_rng(7)
    for index in range(round(seconds * fps) + 1):
        time_s = index / fps
        person = figure(pose_at(time_s), noise=lambda: float(rng.normal(0, noise_px)), unsure=unsure)
        yield of_people(index, time_s, [person]), time_s


def wave(time_s: float, period_s: float) -> float:
    """0 at the start and end of each period, 1 in its middle."""
    return (1 - math.cos(2 * math.pi * time_s / period_s)) / 2


def squat(depth: float, shin_deg: float) -> Pose:
    return Pose(shin=shin_deg * depth, thigh=80 * depth, torso=30 * depth)


def of_people(index: int, time_s: float, people: list[Person]) -> Record:
    return Record(
        source="made",
        epoch=0,
        index=index,
        pts_s=time_s,
        width=WIDTH,
        height=HEIGHT,
        dropped=0,
        flags=[],
        people=people,
    )


def _joints(pose: Pose) -> dict[str, Xy]:
    ankle = (0.0, 0.0)
    knee = _up(ankle, SHIN, pose.shin)
    hip = _up(knee, THIGH, -pose.thigh)
    shoulder = _up(hip, TORSO, pose.torso)
    head = _up(shoulder, NECK, pose.torso + pose.neck)
    elbow = _up(shoulder, UPPER_ARM, 180 - pose.arm)
    wrist = _up(elbow, FOREARM, 180 - pose.arm - pose.elbow)
    made = {"ankle": ankle, "knee": knee, "hip": hip, "shoulder": shoulder, "elbow": elbow, "wrist": wrist}
    made |= {"ear": head, "eye": (head[0] + 10, head[1] - 5), "nose": (head[0] + 15, head[1])}
    turn = math.radians(pose.whole)
    return {
        name: (
            pose.ankle[0] + x * math.cos(turn) - y * math.sin(turn),
            pose.ankle[1] + x * math.sin(turn) + y * math.cos(turn),
        )
        for name, (x, y) in made.items()
    }


def _up(start: Xy, length: float, forward_deg: float) -> Xy:
    angle = math.radians(forward_deg)
    return start[0] + length * math.sin(angle), start[1] - length * math.cos(angle)
