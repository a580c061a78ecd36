"""Other programs' forms become our records, ours come back whole, and what is of no form is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from made_records import HAND, clip_of, crowd, write_records

from configs.errors import SourceError
from stream.export import mmpose, openpose, ultralytics
from stream.export.clip import open_run
from stream.export.foreign import Foreign
from stream.export.formats import FORMATS
from stream.records import Record

RECORDS = crowd()
FOREIGN = Foreign("cam", (640, 480), 25.0)


def shape(records: list[Record], boxes: bool = True) -> list[object]:
    return [
        (each.index, each.pts_s, [(p.id, p.keypoints, (p.score, p.box) if boxes else ()) for p in each.people])
        for each in records
    ]


def test_our_own_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = FORMATS["jsonl"].export(clip_of(RECORDS), tmp_path, False)
    assert list(open_run(tmp_path)) == RECORDS == list(open_run(path))


def test_openpose_comes_back_but_for_score_box_and_feet(tmp_path: Path) -> None:
    folder = FORMATS["openpose"].export(clip_of(RECORDS), tmp_path, False)
    assert shape(list(openpose.read(folder, FOREIGN)), boxes=False) == shape(RECORDS, boxes=False)


def test_mmpose_comes_back(tmp_path: Path) -> None:
    path = FORMATS["mmpose"].export(clip_of(RECORDS), tmp_path, False)
    assert shape(list(mmpose.read(path, FOREIGN))) == shape(RECORDS)


def test_ultralytics_comes_back_a_lost_frame_as_an_empty_one(tmp_path: Path) -> None:
    path = FORMATS["ultralytics"].export(clip_of(RECORDS), tmp_path, False)
    back = list(ultralytics.read(path, FOREIGN))
    assert [each.index for each in back] == list(range(12))
    assert back[5].people == []
    assert shape([each for each in back if each.index != 5]) == shape(RECORDS)


def test_openpose_s_own_files_are_read(tmp_path: Path) -> None:
    """As OpenPose 1.7 writes them: people without identities, undetected keypoints 0."""
    body25 = [float(value) for at in range(25) for value in (at, 100 + at, 0.5)]
    body25[:3] = [0.0, 0.0, 0.0]
    person = {"person_id": [-1], "pose_keypoints_2d": body25, "face_keypoints_2d": []}
    content = {"version": 1.3, "people": [person, {"person_id": [-1], "pose_keypoints_2d": body25[: 3 * 18]}]}
    (tmp_path / "a_clip_000000000007_keypoints.json").write_text(json.dumps(content))
    (record,) = openpose.read(tmp_path, FOREIGN)
    assert (record.index, record.pts_s, [each.id for each in record.people]) == (7, 0.28, [1, 2])
    of_25, of_18 = record.people
    assert of_25.keypoint("nose") == (0.0, 0.0, 0.0)
    assert of_25.box[:2] == (2.0, 102.0)  # the neck is not ours, and who was not found is nowhere
    assert of_25.keypoint("left_ankle") == (14.0, 114.0, 0.5)
    assert of_18.keypoint("left_ankle") == (13.0, 113.0, 0.5)
    assert of_18.keypoint("left_ear") == (17.0, 117.0, 0.5)
    assert of_25.score == pytest.approx(0.5)


def test_mmpose_s_own_list_is_read_and_its_scores_cut_to_one(tmp_path: Path) -> None:
    """As mmpose's inferencer writes it; heat maps of simcc score above 1."""
    points = [[float(at), 2.0] for at in range(17)]
    instance = {"keypoints": points, "keypoint_scores": [1.2] * 17, "bbox": [[0.0, 1.0, 2.0, 3.0]], "bbox_score": 0.75}
    path = tmp_path / "clip.json"
    path.write_text(json.dumps([{"frame_id": 3, "instances": [instance]}]))
    (record,) = mmpose.read(path, FOREIGN)
    (person,) = record.people
    assert (record.index, person.box, person.score) == (3, (0.0, 1.0, 2.0, 3.0), 0.75)
    assert person.keypoints[16] == (16.0, 2.0, 1.0)


def test_ultralytics_without_tracking_and_visibility_is_read(tmp_path: Path) -> None:
    points = {"x": [1.0] * 17, "y": [2.0] * 17}
    found = {"name": "person", "class": 0, "confidence": 0.5, "box": {"x1": 0, "y1": 0, "x2": 9, "y2": 9}}
    path = tmp_path / "clip.json"
    path.write_text(json.dumps([[found | {"keypoints": points}] * 2]))
    (record,) = ultralytics.read(path, FOREIGN)
    assert [person.id for person in record.people] == [1, 2]
    assert record.people[0].keypoints[0] == (1.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", r"frame_000000000001_keypoints.json is no OpenPose JSON: Input data was truncated"),
        (
            '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}',
            r"has people of 1 keypoints; BODY_25, OpenPose's COCO with 18 and COCO's 17 can be read",
        ),
    ],
)
def test_what_is_not_openpose_s_is_refused(content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "frame_000000000001_keypoints.json").write_text(content)
    with pytest.raises(SourceError, match=text):
        list(openpose.read(tmp_path, FOREIGN))


def test_a_folder_without_openpose_s_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no \*_keypoints.json; name the folder that OpenPose wrote"):
        openpose.read(tmp_path, FOREIGN)


def test_people_of_other_keypoints_are_refused_until_their_skeleton_is_named(tmp_path: Path) -> None:
    hands = clip_of(crowd(skeleton=HAND), HAND)
    one, other = (FORMATS[name].export(hands, tmp_path, False) for name in ("mmpose", "ultralytics"))
    with pytest.raises(SourceError, match="frame 0 has people of 3 keypoints, expected 17; name the skeleton"):
        mmpose.read(one, FOREIGN)
    with pytest.raises(SourceError, match="frame 0 has people of 3 keypoints, expected 17; name the skeleton"):
        ultralytics.read(other, FOREIGN)
    assert shape(list(mmpose.read(one, FOREIGN, HAND))) == shape(crowd(skeleton=HAND))
    assert len(list(ultralytics.read(other, FOREIGN, HAND))) == 12


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = write_records(tmp_path / "keypoints.jsonl", RECORDS[:2])
    path.write_bytes(path.read_bytes()[:-20])
    clip = open_run(tmp_path)
    with pytest.raises(SourceError, match=r"keypoints.jsonl: line 2 is no keypoints.v1 record: Input data was trunc"):
        list(clip)


def test_the_skeleton_is_that_of_the_run(tmp_path: Path) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd(skeleton=HAND))
    with pytest.raises(SourceError, match="person 1 of frame 0 has 3 keypoints, expected 17; name the skeleton with"):
        list(open_run(tmp_path))
    settings = {"skeleton": HAND.settings.model_dump(mode="json")}
    (tmp_path / "run.json").write_bytes(msgspec.json.encode({"run": {"settings": settings}}))
    assert open_run(tmp_path).skeleton == HAND
    assert len(list(open_run(tmp_path))) == 11
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(SourceError, match=r"run.json is no run.json of posestream; name the skeleton with"):
        open_run(tmp_path)


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no keypoints.jsonl; name the folder of one source, or its keypoints"):
        open_run(tmp_path)
