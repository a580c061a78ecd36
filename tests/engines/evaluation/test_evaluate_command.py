"""The report, and the command that makes one."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.cbook
import numpy as np
import pytest
from found_people import picture

from engines.evaluate import main
from engines.evaluation.report import as_json, evaluate, lines
from engines.ops import skeleton
from engines.pose_engine import load
from engines.train import pictures


def test_the_table_and_the_json_say_the_same() -> None:
    report = evaluate([picture(seed) for seed in range(30)], skeleton.COCO.names, skeleton.COCO.sigmas)
    table, plain = "\n".join(lines(report)), json.loads(json.dumps(as_json(report), allow_nan=False))
    for name in skeleton.COCO.names:
        assert f"{name:<16}{plain['ap_by_keypoint'][name]:>8.3f}{plain['pck'][name]:>9.3f}" in table
    assert "".join(f"{plain['keypoint_ap'][name]:>8.3f}" for name in ("AP", "AP50", "AP75")) in table
    assert (plain["pictures"], len(plain["rows"])) == (30, 7)


def test_a_skeleton_without_a_nose_has_no_pckh() -> None:
    report = evaluate(
        [picture(seed) for seed in range(10)],
        [f"point_{at}" for at in range(len(skeleton.COCO.names))],
        skeleton.COCO.sigmas,
    )
    assert report.pckh == {}
    assert f"{'point_0':<16}" in "\n".join(lines(report))


def test_what_nobody_stands_behind_is_a_dash_and_null() -> None:
    people, target = next(each for each in map(picture, range(50)) if len(each[1]) > 3)
    target.visibility[:, 4] = 0
    report = evaluate([(people, target)], skeleton.COCO.names, skeleton.COCO.sigmas)
    assert as_json(report)["ap_by_keypoint"]["right_ear"] is None
    assert any(line.split()[:2] == ["right_ear", "-"] for line in lines(report))


def photograph(folder: Path) -> Path:
    """A data set of one photograph, labelled with what the bundled network finds in it."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        (folder / "a.jpg").write_bytes(file.read())
    (people,) = load("lite", backend="eager")([pictures.read(folder / "a.jpg")])
    people = people.take(people.scores > 0.5)
    assert len(people)
    height, width = pictures.size_hw(folder / "a.jpg")
    annotations = [
        {
            "id": at,
            "image_id": 1,
            "category_id": 1,
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "area": float((box[2:] - box[:2]).prod()) / 2,
            "keypoints": np.column_stack((xy, np.full(len(skeleton.COCO.names), 2))).astype(float).ravel().tolist(),
        }
        for at, (box, xy) in enumerate(zip(people.boxes, people.keypoints, strict=True))
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": list(skeleton.COCO.names)}],
    }
    (folder / "labels.json").write_text(json.dumps(content))
    return folder / "labels.json"


def test_a_network_agrees_with_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = photograph(tmp_path)
    arguments = ["--data", f"{labels}", "--images", f"{tmp_path}", "--model", "lite", "--backend", "eager"]
    assert main([*arguments, "--out", f"{tmp_path / 'report'}"]) == 0
    report = json.loads((tmp_path / "report/report.json").read_text())
    assert report["keypoint_ap"]["AP"] == pytest.approx(1)
    assert report["box_ap"]["AP"] == pytest.approx(1)
    assert "1 pictures, 1 people" in capsys.readouterr().out
    assert pictures.size_hw(tmp_path / "report/report.png") == (900, 1300)


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        (["--images", "nowhere"], 3, "labels.json: none of its pictures can be read"),
        (["--held-back"], 3, "no picture is left to be scored"),
        (["--weights", "none.pth"], 6, "none.pth"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: list[str], code: int, says: str
) -> None:
    labels = photograph(tmp_path)
    arguments = ["--data", f"{labels}", "--images", f"{tmp_path}", "--model", "lite", "--backend", "eager"]
    assert main([*arguments, *changed]) == code
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_drawn_people_need_no_data_and_are_always_the_same(tmp_path: Path) -> None:
    reports = []
    for folder in ("a", "b"):
        arguments = ["--drawn", "12", "--rotate", "90", "--model", "lite", "--backend", "eager"]
        assert main([*arguments, "--out", f"{tmp_path / folder}"]) == 0
        reports.append(json.loads((tmp_path / folder / "report.json").read_text()))
    assert reports[0] == reports[1]
    assert reports[0]["people"] > 12
    assert 0.02 < reports[0]["rotation"]["90"] < 2


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (["--imgsz", "10"], "got 10, expected a whole number from 64 through 4096"),
        (["--score-min", "2"], "got 2, expected a share in 0..1"),
        (["--limit", "0"], "got 0, expected a whole number from 1 through"),
    ],
)
def test_an_option_out_of_range_is_refused(capsys: pytest.CaptureFixture[str], option: list[str], says: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--data", "x.json", *option])
    assert says in capsys.readouterr().err
