"""The command and the run: formats beside the records, mistakes in one line with their exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_records import HAND, crowd, write_records
from media import write_video

from configs.errors import ConfigError
from configs.load import load
from configs.schema import Settings
from stream.export.__main__ import main
from stream.export.after_run import AfterRun
from stream.export.clip import open_run
from stream.export.formats import check_formats
from stream.launch import launch
from stream.messages import SourceSpec


def settings(*formats: str) -> Settings:
    one_thread = ["runtime.transport=inproc", "runtime.groups=[[decode, infer, nms, track, records, render, video]]"]
    fixed = {"engine.model": "lite", "engine.backend": "eager", "video.save": False, "records.formats": formats}
    return load(None, one_thread, fixed)


def test_a_run_writes_its_formats_and_lists_them(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    folder = tmp_path / "out"
    folder.mkdir()
    spec = SourceSpec("clip", "file", str(clip), str(folder))
    summary, failure = launch(settings("csv,ultralytics"), [spec], lambda: 0, lambda _: None)
    assert failure is None
    assert summary.sources[0].outputs == ["keypoints.jsonl", "keypoints.csv", "ultralytics.json"]
    assert json.loads((folder / "ultralytics.json").read_text()) == [[], [], []]
    assert {path.name for path in folder.iterdir()} == {*summary.sources[0].outputs, "run.json"}


def test_what_a_run_could_not_write_is_its_failure(tmp_path: Path) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd())
    (tmp_path / "keypoints.csv.part").mkdir()
    failure = AfterRun(settings("csv"), lambda: False).wait(SourceSpec("a", "file", "", str(tmp_path)))
    assert str(failure) == f"{tmp_path}/keypoints.csv cannot be written: Is a directory; free space or choose " + (
        "another --output"
    )


def test_ctrl_c_gives_up_formats_and_says_how_to_make_up_for_them(tmp_path: Path) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd())
    failure = AfterRun(settings("csv,trc"), lambda: True).wait(SourceSpec("a", "file", "", str(tmp_path)))
    assert failure is not None
    assert failure.exit_code == 5
    assert str(failure).startswith(
        f"the export of {tmp_path} was not finished; python -m stream.export {tmp_path} makes"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["keypoints.jsonl"]


def test_a_run_refuses_formats_that_cannot_hold_its_skeleton() -> None:
    with pytest.raises(ConfigError, match="openpose holds the keypoints of BODY_25, not wrist"):
        check_formats(["csv", "openpose"], HAND)


def test_formats_need_records() -> None:
    with pytest.raises(ConfigError, match="formats are csv; they are made of the records, which are not saved"):
        load(None, (), {"records.formats": "csv", "records.save": False})


def test_the_command_writes_beside_the_records_and_prints_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd())
    assert main([str(tmp_path), "--format", "csv, mot"]) == 0
    assert capsys.readouterr().out.split() == [f"{tmp_path}/keypoints.csv", f"{tmp_path}/mot.txt"]
    assert (tmp_path / "mot.txt").stat().st_size


def test_the_command_makes_records_of_other_programs_files(tmp_path: Path) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd())
    assert main([str(tmp_path), "--format", "openpose", "--out", str(tmp_path / "a")]) == 0
    folder = str(tmp_path / "a" / "openpose")
    made = ["--from", "openpose", "--size", "640x480", "--fps", "25"]
    assert main([folder, *made, "--format", "jsonl", "--out", str(tmp_path / "b")]) == 0
    assert [record.index for record in open_run(tmp_path / "b")] == [record.index for record in crowd()]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere", "--format", "csv"], 3, "nowhere holds no keypoints.jsonl"),
        (["x", "--from", "mmpose", "--format", "csv"], 2, "--from mmpose needs --size and --fps of the video"),
        (["x", "--from", "mmpose", "--size", "9x9", "--fps", "1", "--format", "csv"], 3, "x is no JSON of mmpose"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"posestream: {text}")


def test_an_unknown_format_is_told_of_with_those_that_are_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["x", "--format", "csv,cvs"])
    assert "'cvs' is no format; known are jsonl, csv, parquet" in capsys.readouterr().err


def test_a_skeleton_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "keypoints.jsonl", crowd(skeleton=HAND))
    assert main([str(tmp_path), "--format", "csv"]) == 3
    assert "has 3 keypoints, expected 17; name the skeleton with --skeleton FILE" in capsys.readouterr().err
    hand = tmp_path / "hand.yaml"
    hand.write_text(json.dumps({"skeleton": HAND.settings.model_dump(mode="json")}))
    assert main([str(tmp_path), "--format", "csv", "--skeleton", str(hand)]) == 0
    assert "left tip_x" in (tmp_path / "keypoints.csv").read_text()
