"""Labels as others write them: COCO's JSON and YOLO-pose text; faults are named and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_people import K, people

from configs.errors import SourceError
from engines.ops import skeleton
from engines.train import pictures
from engines.train.coco import read_coco
from engines.train.dataset import Picture, held_back, mirror_of, split
from engines.train.target import nobody
from engines.train.yolo import read_yolo, yolo_lines

MIRROR = skeleton.COCO.mirror

COCO = Path(__file__).parents[4] / "shared/coco"


def annotation(**changes: Any) -> dict[str, Any]:
    made = {"id": 1, "image_id": 7, "category_id": 1, "iscrowd": 0, "bbox": [1, 2, 30, 40], "area": 500.0}
    return {**made, "keypoints": [5.0, 6.0, 2] + [0, 0, 0] * (K - 1), **changes}


def written(folder: Path, *annotations: dict[str, Any]) -> Path:
    path = folder / "labels.json"
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.COCO.names)}
    image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": [category]}))
    return path


def test_a_person_of_a_coco_file(tmp_path: Path) -> None:
    dataset = read_coco(written(tmp_path, annotation()), tmp_path)
    target = dataset.pictures[0].target
    assert (target.size_hw, target.boxes.tolist()) == ((48, 64), [[1, 2, 31, 42]])
    assert target.keypoints[0, 0].tolist() == [5, 6]
    assert (target.visibility[0, 0], target.weights[0, 0], target.labelled.tolist()) == (2, 1, [1])
    assert target.areas_px2.tolist() == [500]
    assert (dataset.keypoint_names, dataset.problems) == (skeleton.COCO.names, ())


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"bbox": [1, 2, 0, 40]}, "annotation 1: bbox is [1, 2, 0, 40]; expected x, y, width and height above 0"),
        ({"bbox": [1, 2, float("nan"), 4]}, "annotation 1: bbox is [1, 2, nan, 4]; expected x, y,"),
        ({"keypoints": [1, 2, 2]}, "annotation 1: keypoints are 3 numbers; expected 51 finite ones"),
        ({"keypoints": [5, 6, 3] + [0, 0, 0] * (K - 1)}, "annotation 1: a visibility is not 0, 1 or 2"),
        ({"keypoint_scores": [0.5]}, "annotation 1: keypoint_scores are 1 numbers; expected 17 in 0..1"),
        ({"image_id": 8}, "image 8: 1 people of an image that is not listed"),
    ],
)
def test_a_faulty_label_is_named_and_left_out(tmp_path: Path, fault: dict[str, Any], says: str) -> None:
    good = annotation(id=2, bbox=[9, 9, 5, 5])
    dataset = read_coco(written(tmp_path, annotation(**fault), good), tmp_path)
    assert dataset.pictures[0].target.ids.tolist() == [2]
    assert len(dataset.problems) == 1
    assert dataset.problems[0].startswith(says)
    assert "left out for faults: 1" in dataset.summary()


def test_a_label_without_a_box_is_named(tmp_path: Path) -> None:
    broken = annotation()
    del broken["bbox"]
    assert read_coco(written(tmp_path, broken), tmp_path).problems == ("annotation 1: has no 'bbox'",)


def test_a_teacher_s_keypoints_weigh_as_much_as_it_is_sure(tmp_path: Path) -> None:
    scores = [0.9, 0.2] + [0.0] * (K - 2)
    taught = annotation(source="teacher:x", keypoint_scores=scores, keypoints=[5, 6, 2, 7, 8, 0] + [0] * 3 * (K - 2))
    path = written(tmp_path, taught)
    target = read_coco(path, tmp_path).pictures[0].target
    assert target.weights[0, :2].tolist() == pytest.approx([0.9, 0])
    lower = read_coco(path, tmp_path, score_min=0.1).pictures[0].target
    assert lower.visibility[0, :3].tolist() == [2, 2, 0]
    truth = read_coco(path, tmp_path, truth_only=True).pictures[0].target
    assert (truth.labelled.tolist(), truth.crowd.tolist()) == ([0], [False])


def test_a_detector_s_box_is_no_truth(tmp_path: Path) -> None:
    path = written(tmp_path, annotation(box_source="detector:y"), annotation(id=2, box_source="coco"))
    assert read_coco(path, tmp_path).pictures[0].target.crowd.tolist() == [False, False]
    assert read_coco(path, tmp_path, truth_only=True).pictures[0].target.crowd.tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "labels.json is no JSON"),
        ("[]", "is no COCO keypoint file: it has no images, annotations, categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "its category '' names no keypoints"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": ["nose"]}]}',
            "no image in it can be used; it lists none",
        ),
    ],
)
def test_what_is_no_coco_file_is_told_so(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(SourceError, match=says):
        read_coco(tmp_path / "labels.json", tmp_path)


def test_a_missing_file_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.json cannot be read: No such file"):
        read_coco(tmp_path / "none.json", tmp_path)


def test_people_come_back_from_yolo_text(tmp_path: Path) -> None:
    target = people(1)
    pictures.write(tmp_path / "a.png", np.zeros((120, 200, 3), np.uint8))
    (tmp_path / "a.txt").write_text("\n".join(yolo_lines(target)))
    back = read_yolo(tmp_path, tmp_path, skeleton.COCO.names).pictures[0].target
    drawn = target.take(~target.crowd)
    seen = drawn.visibility > 0
    assert back.boxes == pytest.approx(drawn.boxes, abs=1e-3)
    assert back.visibility.tolist() == drawn.visibility.tolist()
    assert back.keypoints[seen] == pytest.approx(drawn.keypoints[seen], abs=1e-3)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.5 0.5 0.1", r"a\.txt, line 1: 3 numbers after the class; expected 55, or 38 without v"),
        ("0 0.5 0.5 0 0.2" + " 0" * 51, r"a\.txt, line 1: a box of 0 x 0\.2; expected sides above 0"),
        ("0 0.5 x", r"a\.txt, line 1: could not convert string to float: 'x'"),
        ("0 0.5 0.5 nan 0.2" + " 0" * 51, r"a\.txt, line 1: a number is not finite"),
    ],
)
def test_a_faulty_line_is_named_and_left_out(tmp_path: Path, line: str, says: str) -> None:
    pictures.write(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "a.txt").write_text(f"{line}\n2 0.1 0.1\n")
    dataset = read_yolo(tmp_path, tmp_path, skeleton.COCO.names)
    assert len(dataset.pictures[0].target) == 0
    with pytest.raises(ValueError, match=says):
        raise ValueError(*dataset.problems)


def test_yolo_lines_without_visibility_hide_only_what_is_at_the_corner(tmp_path: Path) -> None:
    pictures.write(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.4 0.4 0.5 0.5" + " 0 0" * 16)
    target = read_yolo(tmp_path, tmp_path, skeleton.COCO.names).pictures[0].target
    assert target.visibility[0].tolist() == [2] + [0] * 16
    assert target.keypoints[0, 0].tolist() == [15, 10]


def test_a_broken_picture_is_named_and_left_out(tmp_path: Path) -> None:
    pictures.write(tmp_path / "a.png", np.zeros((20, 30, 3), np.uint8))
    (tmp_path / "b.png").write_bytes(b"no picture")
    dataset = read_yolo(tmp_path, tmp_path, skeleton.COCO.names)
    assert len(dataset.pictures) == 1
    assert "b.png cannot be read: cannot identify image file" in dataset.problems[0]


def test_mirror_pairs_follow_from_names() -> None:
    assert mirror_of(skeleton.COCO.names) == MIRROR
    with pytest.raises(SourceError, match="keypoint left_paw has no right_paw beside it"):
        mirror_of(("nose", "left_paw"))


def test_one_picture_in_eight_is_held_back_but_none_of_open_images() -> None:
    ids = [8, 9, 16]
    of = [Picture(number, Path("x"), nobody((1, 1), K), "val2017") for number in ids]
    assert [held_back(picture) for picture in of] == [True, False, True]
    assert not held_back(Picture(8, Path("x"), nobody((1, 1), K), "openimages"))


@pytest.mark.skipif(not COCO.is_dir(), reason="the labelled pictures are not beside the repository")
def test_the_pictures_of_the_card_are_held_back() -> None:
    train, validation = split(read_coco(COCO / "person_keypoints.json", COCO / "images", truth_only=True))
    assert len(validation.pictures) == 431
    assert sum(int((picture.target.labelled > 0).sum()) for picture in validation.pictures) == 1165
    assert len(train.pictures) + 431 == 6990
    assert not train.problems
