"""Faces are blurred whatever the keypoints say, and little else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from configs.schema import SmoothSettings, TrackSettings
from configs.skeleton import SkeletonSettings
from configs.video import RenderSettings
from engines.ops.people import People, nobody
from engines.ops.skeleton import COCO, Skeleton
from stream.faces import faces_of
from stream.messages import Begin, Frame, Pixels, Poses, SourceSpec, Tracks
from stream.records import Person, Record
from stream.redraw import Replay
from stream.render import Render
from stream.track import Track

STANDING_CM = np.array(
    [(0, 160), (3, 163), (-3, 163), (7, 161), (-7, 161), (17, 140), (-17, 140), (25, 112), (-25, 112), (28, 88),
     (-28, 88), (12, 92), (-12, 92), (12, 48), (-12, 48), (12, 6), (-12, 6)], np.float32,
)  # fmt: skip
"""Right of the middle and above the ground, of a person of 1.75 m who faces us."""
ROUND = np.array([(np.cos(a), np.sin(a)) for a in np.arange(0, 2 * np.pi, 0.2)])
FACE_CM = np.array([0, 159]) + ROUND * [8, 11]
PX_PER_CM = 2.0
SURE = np.full(17, 0.9, np.float32)


def px(points_cm: np.ndarray, lying: bool = False) -> np.ndarray:
    x, up = points_cm[:, 0], points_cm[:, 1]
    turned = np.stack([up + 30, 100 + x] if lying else [x + 100, 200 - up], 1)
    return (turned * PX_PER_CM).astype(np.float32)


def person(confidence: np.ndarray = SURE, lying: bool = False, moved_px: dict[int, tuple[float, float]] | None = None):
    corners = px(np.array([[-30, 175], [30, 0]], np.float32), lying)
    keypoints = px(STANDING_CM, lying)
    for joint, by in (moved_px or {}).items():
        keypoints[joint] += by
    box = np.concatenate([corners.min(0), corners.max(0)])
    return People(
        box[None], np.ones(1, np.float32), keypoints[None], confidence[None].astype(np.float32), confidence[None]
    )


def unsure(*joints: int) -> np.ndarray:
    confidence = SURE.copy()
    confidence[list(joints)] = 0.1
    return confidence


def covers(people: People, points: np.ndarray, skeleton: Skeleton = COCO) -> np.ndarray:
    """Whether each point lies in one of the areas."""
    (areas,) = faces_of(people, skeleton)
    return np.array([((points - [x, y]) / [rx, ry]) ** 4 @ [1, 1] <= 1 for x, y, rx, ry in areas]).any(0)


FACE = (0, 1, 2, 3, 4)
CASES = {
    "all sure": person(),
    "from the side": person(unsure(2, 4)),
    "from behind": person(unsure(0, 1, 2)),
    "only the nose": person(unsure(1, 2, 3, 4)),
    "no face": person(unsure(*FACE)),
    "face unsure and elsewhere": person(unsure(*FACE), moved_px={joint: (90, 200) for joint in FACE}),
    "face sure and all over the place": person(moved_px={1: (90, 200), 3: (-200, 20), 4: (60, 90)}),
    "no face, no shoulders": person(unsure(*FACE, 5, 6), moved_px={joint: (0, 150) for joint in FACE}),
    "nothing": person(np.zeros(17, np.float32), moved_px={joint: (0, 150) for joint in range(17)}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_whole_face_is_covered_however_unsure_its_keypoints(case: str) -> None:
    assert covers(CASES[case], px(FACE_CM)).all()


@pytest.mark.parametrize("case", CASES)
def test_what_is_below_the_hips_stays_visible_where_keypoints_lie_where_they_are(case: str) -> None:
    if "place" not in case and "elsewhere" not in case:
        assert not covers(CASES[case], px(STANDING_CM[13:])).any()


def test_a_sure_face_covers_little_more() -> None:
    (((_, _, half_wide, half_high),),) = faces_of(person(), COCO)
    assert 11 <= max(half_wide, half_high) / PX_PER_CM <= 18


@pytest.mark.parametrize("confidence", [SURE, unsure(*FACE), unsure(*FACE, 5, 6)], ids=["sure", "no face", "neither"])
def test_the_face_of_somebody_who_lies_is_covered(confidence: np.ndarray) -> None:
    assert covers(person(confidence, lying=True), px(FACE_CM, lying=True)).all()


@pytest.mark.parametrize(
    ("confidence", "box_cm", "lying"),
    [(unsure(*FACE), [[-30, 245], [30, 0]], False), (unsure(*FACE, 5, 6), [[-70, 175], [30, 0]], True)],
    ids=["arms up, no face", "lying, arms up, neither face nor shoulders"],
)
def test_the_face_is_covered_where_arms_make_the_box_larger(confidence: np.ndarray, box_cm: list, lying: bool) -> None:
    corners = px(np.array(box_cm, np.float32), lying)
    far = person(confidence, lying, {joint: (-300, -300) for joint in FACE})
    boxed = replace(far, boxes=np.concatenate([corners.min(0), corners.max(0)])[None])
    assert covers(boxed, px(FACE_CM, lying)).all()


def test_a_head_alone_in_the_box_is_covered() -> None:
    corners = px(np.array([[-10, 174], [10, 145]], np.float32))
    head = replace(person(unsure(*range(5, 17))), boxes=corners.reshape(1, 4))
    assert covers(head, px(FACE_CM)).all()


def test_without_keypoints_of_a_face_the_top_of_the_box_is_covered() -> None:
    hands = SkeletonSettings(names=("thumb", "little"), limbs=(), mirror=(), sigmas=(0.1, 0.1))
    people = person()
    two = People(people.boxes, people.scores, people.keypoints[:, 9:11], people.confidence[:, 9:11], people.logits)
    assert covers(two, px(FACE_CM), Skeleton(hands)).all()


def chequered() -> np.ndarray:
    ones = np.indices((420, 420)).sum(0) // 2 % 2
    return (ones[..., None] * [200, 180, 160] + 20).astype(np.uint8)


def frame(index: int) -> Frame:
    return Frame("clip", 0, index, index * 40_000_000, 0, 0, 420, 420, Pixels(chequered()))


def tracks(index: int, people: People, others: People | None = None, predicted: bool = False) -> Tracks:
    return Tracks(frame(index), people, np.arange(1, len(people) + 1), people.keypoints, predicted, others)


def is_blurred(picture: np.ndarray) -> bool:
    """Whether neighbouring squares of the face cannot be told apart; False: all of them can."""
    middle = px(np.array([[0, 159]])).astype(int)[0]
    face = picture[middle[1] - 20 : middle[1] + 20, middle[0] - 14 : middle[0] + 14].astype(int)
    spread = int(face.max()) - int(face.min())
    assert spread < 60 or spread > 150
    return spread < 60


def render(**settings: object) -> Render:
    return Render(RenderSettings.model_validate({"hud": False, "labels": False, "kpt_thr": 1, **settings}))


def drawn(stage: Render, message: Tracks) -> np.ndarray:
    (made,) = stage.process(message)
    assert isinstance(made, Tracks)
    return made.frame.picture


def test_faces_are_blurred_on_request_and_the_feet_and_the_source_are_not() -> None:
    message = tracks(0, person())
    assert not is_blurred(drawn(render(), message))
    made = drawn(render(blur_faces=True), message)
    assert is_blurred(made)
    assert (made[350:395, 160:240] == chequered()[350:395, 160:240]).all()
    assert not is_blurred(message.frame.picture)


def test_the_source_beside_the_overlay_is_blurred_too() -> None:
    made = drawn(render(blur_faces=True, side_by_side=True), tracks(0, person()))
    assert made.shape == (420, 840, 3)
    assert is_blurred(made[:, :420])
    assert is_blurred(made[:, 420:])


def test_who_is_found_and_not_shown_is_blurred_also_in_frames_nobody_looked_at() -> None:
    stage = render(blur_faces=True)
    assert is_blurred(drawn(stage, tracks(0, nobody(), person())))
    assert is_blurred(drawn(stage, tracks(1, nobody(), predicted=True)))
    assert not is_blurred(drawn(stage, tracks(2, nobody(), nobody())))


def test_a_face_stays_blurred_for_a_second_after_its_person_was_lost() -> None:
    stage = render(blur_faces=True)
    drawn(stage, tracks(0, person()))
    assert is_blurred(drawn(stage, tracks(25, nobody())))
    other = render(blur_faces=True)
    other.restore("clip", stage.snapshot("clip"))
    assert is_blurred(drawn(other, tracks(25, nobody())))
    assert not is_blurred(drawn(stage, tracks(26, nobody())))


def test_the_tracker_tells_on_request_whom_it_does_not_show() -> None:
    settings = TrackSettings(confirm_s=0.1), SmoothSettings()
    begin = Begin(SourceSpec("clip", "file", "clip.mp4"), 420, 420, 25.0)
    for with_others in (False, True):
        stage = Track(*settings, with_others=with_others)
        list(stage.process(begin))
        given = [*stage.process(Poses(frame(0), nobody())), *stage.process(Poses(frame(1), person()))]
        given += [message for index in (2, 3, 4) for message in stage.process(Poses(frame(index), person()))]
        counts = [(len(each.ids), None if each.others is None else len(each.others)) for each in given]
        assert counts == [(n, o if with_others else None) for n, o in [(0, 0), (0, 1), (0, 1), (0, 1), (1, 0)]]


def test_an_overlay_drawn_from_records_blurs_who_is_about_to_appear() -> None:
    people = person()
    xy = [(float(x), float(y), 0.9) for x, y in people.keypoints[0]]
    box = [float(side) for side in people.boxes[0]]
    there = Person(1, 0.9, (box[0], box[1], box[2], box[3]), xy, [(x, y) for x, y, _ in xy], "seen")
    still = {"source": "clip", "epoch": 0, "width": 420, "height": 420, "dropped": 0, "flags": []}
    appears = [Record(**still, index=n, pts_s=n / 25, people=[there] if n == 30 else []) for n in range(40)]
    replay, stage = Replay(appears, 17), render(blur_faces=True)
    blurred = [is_blurred(drawn(stage, message)) for n in range(32) for message in replay.process(frame(n))]
    assert blurred == [n >= 18 for n in range(32)]  # half a second before
