"""Stages behind the network take another skeleton as they take COCO's."""

from __future__ import annotations

import json

import jsonschema
import msgspec
import numpy as np
import pytest

from configs.schema import NmsSettings, SmoothSettings, TrackSettings
from configs.skeleton import SkeletonSettings
from configs.video import RenderSettings
from engines.ops.people import People, nobody
from engines.ops.skeleton import Skeleton
from stream.messages import Frame, Pixels, Poses, Tracks
from stream.nms import Nms
from stream.records import SCHEMA_FILE, record_of
from stream.render import Render
from stream.tracking.tracker import Tracker

HAND = Skeleton(
    SkeletonSettings(
        names=("wrist", "left_tip", "right_tip"), limbs=(("wrist", "left_tip"),), mirror=(), sigmas=(0.05, 0.1, 0.1)
    )
)
BLACK = np.zeros((90, 160, 3), np.uint8)
FRAME = Frame("a", 0, 0, 0, 0, 0, 160, 90, Pixels(BLACK))


def hands(*shifts: float) -> People:
    """A hand at each place along x, and each a little less sure than the one before."""
    count = len(shifts)
    xy = np.array([[40, 60], [30, 20], [50, 20]], np.float32) + np.array([(x, 0) for x in shifts], np.float32)[:, None]
    return People(
        boxes=np.concatenate([xy.min(1) - 5, xy.max(1) + 5], 1),
        scores=np.linspace(0.9, 0.8, count, dtype=np.float32),
        keypoints=xy,
        confidence=np.ones((count, 3), np.float32),
        logits=np.ones((count, 3), np.float32),
    )


def test_a_hand_twice_is_one_hand_and_a_far_one_another() -> None:
    (poses,) = Nms(NmsSettings(), HAND).process(Poses(FRAME, hands(0, 1, 80)))
    assert poses.people.keypoints[:, 0, 0].tolist() == [40, 120]


def test_hands_are_followed_also_after_frames_without_any() -> None:
    tracker = Tracker(TrackSettings(confirm_s=0.0), SmoothSettings(method="none"), HAND)
    ids = [
        tracker.update(people, at * 40_000_000).ids.tolist()
        for at, people in enumerate([nobody(3), hands(0), nobody(3), hands(4, 80)])
    ]
    assert ids == [[], [1], [], [1, 2]]


def test_limbs_of_the_skeleton_are_drawn_and_no_others() -> None:
    people = hands(0)
    settings = RenderSettings(labels=False, hud=False)
    ((frame,),) = [Render(settings, HAND).process(Tracks(FRAME, people, np.array([1]), people.keypoints))]
    drawn = frame.frame.picture.any(-1)
    assert drawn[40, 35]  # from the wrist to the left tip
    assert not drawn[40, 45]  # from the wrist to the right one


def test_records_hold_its_keypoints_in_order_and_find_them_by_name() -> None:
    people = hands(0)
    record = record_of(Tracks(FRAME, people, np.array([1]), people.keypoints))
    jsonschema.validate(json.loads(msgspec.json.encode(record)), json.loads(SCHEMA_FILE.read_text()))
    assert record.people[0].keypoint("right_tip", HAND) == [50.0, 20.0, 1.0]
    with pytest.raises(ValueError, match="no keypoint nose: there are wrist"):
        record.people[0].keypoint("nose", HAND)


def test_nobody_has_the_fields_of_somebody() -> None:
    of_nobody, of_somebody = nobody(3).arrays(), hands(0).arrays()
    assert {name: each.shape[1:] for name, each in of_nobody.items()} == {
        name: each.shape[1:] for name, each in of_somebody.items()
    }
