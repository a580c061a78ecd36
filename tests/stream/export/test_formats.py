"""Each format is read back by its own reader, or by a plain one, and holds what the records do."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import tracemalloc
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from made_records import HAND, clip_of, crowd, record

from configs.errors import ConfigError, OutputError
from configs.schema import FormatName
from engines.ops.skeleton import COCO
from stream.export.clip import Clip
from stream.export.coco import VISIBLE_MIN
from stream.export.formats import FORMATS

RECORDS = crowd()
CLIP = clip_of(RECORDS)
DETECTIONS = [(each, person) for each in RECORDS for person in each.people]
IDS = {1, 2, 9}


def test_the_settings_name_the_formats_that_there_are() -> None:
    assert tuple(FORMATS) == get_args(FormatName)
    assert {each.name for each in FORMATS.values()} == set(FORMATS)
    assert len({each.output for each in FORMATS.values()}) == len(FORMATS)


def test_csv_has_a_row_for_each_person_of_each_frame(tmp_path: Path) -> None:
    with FORMATS["csv"].export(CLIP, tmp_path, False).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(DETECTIONS)
    for row, (each, person) in zip(rows, DETECTIONS, strict=True):
        assert (int(row["frame"]), float(row["time_s"]), int(row["id"])) == (each.index, each.pts_s, person.id)
        x, y, sure = person.keypoint("left_wrist")
        assert (row["left_wrist_x"], row["left_wrist_y"], row["left_wrist_confidence"]) == (str(x), str(y), str(sure))
        assert float(row["right_ankle_raw_y"]) == person.raw_keypoints[16][1]


def test_parquet_is_the_table_of_csv_with_types(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas, of the extra test")
    pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra parquet")
    table = pandas.read_parquet(FORMATS["parquet"].export(CLIP, tmp_path, False))
    same = pandas.read_csv(FORMATS["csv"].export(CLIP, tmp_path, False))
    assert table.columns.tolist() == same.columns.tolist()
    assert all((table[name] == same[name]).all() for name in table)
    kinds = {name: str(table[name].dtype) for name in ("frame", "id", "score", "nose_x")}
    assert kinds == {"frame": "int64", "id": "int64", "score": "float64", "nose_x": "float64"}


def test_coco_scores_our_results_against_our_own_annotations_as_perfect(tmp_path: Path) -> None:
    from pycocotools.coco import COCO as Labels
    from pycocotools.cocoeval import COCOeval

    truth = FORMATS["coco-annotations"].export(CLIP, tmp_path, False)
    results = FORMATS["coco"].export(CLIP, tmp_path, False)
    with contextlib.redirect_stdout(io.StringIO()):
        labels = Labels(str(truth))
        scored = COCOeval(labels, labels.loadRes(str(results)), "keypoints")
        scored.evaluate()
        scored.accumulate()
        scored.summarize()
    assert scored.stats[0] == pytest.approx(1.0)
    assert len(labels.imgs) == len(RECORDS)
    assert labels.cats[1]["keypoints"] == list(COCO.names)
    for entry, (each, person) in zip(json.loads(results.read_text()), DETECTIONS, strict=True):
        assert (entry["image_id"], entry["track_id"], entry["score"]) == (each.index, person.id, person.score)
        assert entry["bbox"] == [40.5, 41.25, 369.5, 379.5]


def test_a_keypoint_that_is_hardly_sure_counts_as_not_labelled(tmp_path: Path) -> None:
    made = json.loads(FORMATS["coco-annotations"].export(CLIP, tmp_path, False).read_text())
    for entry, (_, person) in zip(made["annotations"], DETECTIONS, strict=True):
        triples = np.array(entry["keypoints"]).reshape(-1, 3)
        sure = np.array([confidence for _, _, confidence in person.keypoints]) >= VISIBLE_MIN
        assert (triples[:, 2] > 0).tolist() == sure.tolist()
        assert not triples[~sure].any()
        assert entry["num_keypoints"] == sure.sum()


def test_openpose_has_a_file_a_frame_with_the_neck_between_the_shoulders(tmp_path: Path) -> None:
    folder = FORMATS["openpose"].export(CLIP, tmp_path, False)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"cam_{each.index:012d}_keypoints.json" for each in RECORDS]
    made = json.loads((folder / names[0]).read_text())["people"][0]
    points = np.array(made["pose_keypoints_2d"]).reshape(25, 3)
    (left, right), person = (5, 2), RECORDS[0].people[0]
    assert points[left].tolist() == list(person.keypoint("left_shoulder"))
    assert points[1, :2] == pytest.approx((points[left, :2] + points[right, :2]) / 2)
    assert points[1, 2] == min(points[left, 2], points[right, 2])
    assert not points[19:].any()  # feet
    assert made["person_id"] == [1]


@pytest.mark.filterwarnings("ignore:Operation with tuple")  # of motmetrics, by pandas 3
def test_motmetrics_reads_our_boxes(tmp_path: Path) -> None:
    motmetrics = pytest.importorskip("motmetrics", reason="needs motmetrics, of the extra test")
    table = motmetrics.io.loadtxt(FORMATS["mot"].export(CLIP, tmp_path, False), fmt="mot15-2D")
    assert table.index.tolist() == [(each.index + 1, person.id) for each, person in DETECTIONS]
    assert table[["X", "Y", "Width", "Height"]].iloc[0].tolist() == [40.5, 41.25, 369.5, 379.5]
    assert table["Confidence"].tolist() == [person.score for _, person in DETECTIONS]


def test_trc_has_y_upwards_and_empty_cells_where_somebody_is_unseen(tmp_path: Path) -> None:
    folder = FORMATS["trc"].export(CLIP, tmp_path, False)
    assert {path.name for path in folder.iterdir()} == {f"person_{number}.trc" for number in IDS}
    lines = [line.split("\t") for line in (folder / "person_2.trc").read_text().splitlines()]
    assert dict(zip(lines[1], lines[2], strict=True))["NumFrames"] == "10"
    assert lines[2][:2] == ["25.000", "25.000"]
    assert lines[3][2::3] == list(COCO.names)
    assert len({len(line) for line in lines[3:]}) == 1
    frames = [int(line[0]) - 1 for line in lines[5:]]
    assert frames == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    for index, line in zip(frames, lines[5:], strict=True):
        people = {person.id: person for each in RECORDS if each.index == index for person in each.people}
        assert float(line[1]) == pytest.approx(index / 25)
        if 2 in people:
            x, y, _ = people[2].keypoint("left_eye")
            assert line[5:8] == [f"{x:.2f}", f"{480 - y:.2f}", "0"]
        else:
            assert not any(line[2:])


def test_c3d_is_read_by_ezc3d(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d", reason="needs ezc3d, of the extra test")
    pytest.importorskip("c3d", reason="needs c3d, of the extra c3d")
    folder = FORMATS["c3d"].export(CLIP, tmp_path, False)
    assert {path.name for path in folder.iterdir()} == {f"person_{number}.c3d" for number in IDS}
    made = ezc3d.c3d(str(folder / "person_2.c3d"))
    points = made["data"]["points"]
    assert made["parameters"]["POINT"]["LABELS"]["value"] == list(COCO.names)
    assert made["parameters"]["POINT"]["RATE"]["value"][0] == pytest.approx(25)
    assert points.shape == (4, 17, 11)  # frames 0 to 10
    for each, person in DETECTIONS:
        if person.id == 2:
            x, y, _ = person.keypoint("right_knee")
            assert points[:3, 14, each.index] == pytest.approx([x, 480 - y, 0])
    assert np.isnan(points[0, :, [1, 3, 5]]).all()


def test_npz_holds_every_number(tmp_path: Path) -> None:
    made = np.load(FORMATS["npz"].export(CLIP, tmp_path, False))
    assert made["frame"].tolist() == [each.index for each in RECORDS]
    assert made["names"].tolist() == list(COCO.names)
    assert made["size"].tolist() == [640, 480]
    assert made["frame"][made["at"]].tolist() == [each.index for each, _ in DETECTIONS]
    assert made["id"].tolist() == [person.id for _, person in DETECTIONS]
    assert made["keypoints"].tolist() == [[list(point) for point in person.keypoints] for _, person in DETECTIONS]
    assert made["raw_keypoints"].shape == (len(DETECTIONS), 17, 2)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "openpose"])
def test_other_skeletons_are_held(name: FormatName, tmp_path: Path) -> None:
    if name in ("parquet", "c3d"):
        pytest.importorskip({"parquet": "pyarrow"}.get(name, name), reason=f"needs the extra {name}")
    path = FORMATS[name].export(clip_of(crowd(skeleton=HAND), HAND), tmp_path, False)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    assert all(file.stat().st_size for file in files)
    if name == "csv":
        header = path.read_text().splitlines()[0].split(",")
        assert header[10:13] == ["wrist_x", "wrist_y", "wrist_confidence"]
        assert len(header) == 10 + 3 * 5
    if name == "trc":
        assert files[0].read_text().splitlines()[3].split("\t")[2::3] == ["wrist", "left_tip", "right_tip"]


def test_openpose_refuses_a_skeleton_that_is_not_of_body_25(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="openpose holds the keypoints of BODY_25, not wrist; choose another format"):
        FORMATS["openpose"].export(clip_of(crowd(skeleton=HAND), HAND), tmp_path, False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("records", [[], [record(0, [])]], ids=["no frame", "nobody"])
def test_what_holds_nobody_is_written_all_the_same(name: FormatName, records: list[object], tmp_path: Path) -> None:
    if name in ("parquet", "c3d"):
        pytest.importorskip({"parquet": "pyarrow"}.get(name, name), reason=f"needs the extra {name}")
    assert FORMATS[name].export(clip_of(records), tmp_path, False).exists()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["csv", "trc"])
def test_what_is_there_is_replaced_only_when_asked(name: FormatName, tmp_path: Path) -> None:
    path = FORMATS[name].export(CLIP, tmp_path, False)
    with pytest.raises(OutputError, match=f"{path.name} is there already; name another folder or give --overwrite"):
        FORMATS[name].export(CLIP, tmp_path, False)
    FORMATS[name].export(clip_of(RECORDS[:1]), tmp_path, True)
    if path.is_dir():
        assert {file.name for file in path.iterdir()} == {"person_1.trc", "person_2.trc"}
    else:
        assert len(path.read_text().splitlines()) == 3
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_supervision_draws_our_people() -> None:
    supervision = pytest.importorskip("supervision", reason="needs supervision, of the extra test")
    from stream.export.to_supervision import key_points

    made = key_points(RECORDS[0])
    assert len(made) == 2
    assert made.data["tracker_id"].tolist() == [1, 2]
    assert made.xy[0, 9].tolist() == pytest.approx(list(RECORDS[0].people[0].keypoint("left_wrist")[:2]))
    picture = supervision.VertexAnnotator().annotate(np.zeros((480, 640, 3), np.uint8), made)
    assert picture.any()
    assert len(key_points(record(0, []))) == 0


@pytest.mark.parametrize(
    "name", ["jsonl", "csv", "coco", "coco-annotations", "mot", "mmpose", "ultralytics", "trc", "npz"]
)
def test_memory_does_not_grow_with_the_clip(name: FormatName, tmp_path: Path) -> None:
    people = RECORDS[8].people

    def peak_bytes(frames: int) -> int:
        clip = Clip("long", COCO, lambda: (record(index, people) for index in range(frames)))
        tracemalloc.start()
        FORMATS[name].export(clip, tmp_path, True)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(10)
    assert peak_bytes(1_500) < peak_bytes(300) + 30_000
