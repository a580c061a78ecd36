"""The command line of a training: what it writes, goes on with, and says when it cannot."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.load import load_as
from configs.train import TrainSettings
from engines.pose_engine import load
from engines.train import checkpoint, pictures
from engines.train.__main__ import main
from engines.train.session import Session
from engines.weights import state_dict

SMALL = [
    "train-drawn",
    *("--set", "pictures.height_px=64", "--set", "pictures.width_px=96", "--set", "pictures.person_px=[40, 60]"),
    *("--set", "run.batch=2", "--set", "validate.pictures=3", "--set", "run.precision=fp32", "--quiet"),
]
"""A few steps with small pictures."""


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps, whose last half rounds."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert main([*SMALL, "--steps", "6", "--set", "quantize.start=0.5", "--out", str(folder)]) == 0
    return folder


def test_a_run_leaves_weights_log_events_and_curves(whole: Path) -> None:
    entries = log(whole)
    assert [entry["step"] for entry in entries] == [1, 6, 6]
    assert entries[1]["samples"] == 12
    assert 0 < entries[2]["score/oks"] < 1
    assert pictures.size_hw(whole / "curves.png") == (500, 1200)
    assert len(list((whole / "events").iterdir())) == 1
    names = {"checkpoint.pt", "settings.yaml", "last.safetensors", "best.safetensors"}
    assert names <= {path.name for path in whole.iterdir()}


def test_its_weights_are_loaded_and_do_what_the_average_of_the_network_does(whole: Path) -> None:
    assert load("auto", weights=str(whole / "last.safetensors"), backend="eager").architecture.name == "lite"
    own = state_dict.read(whole / "last.safetensors")
    assert {each.dtype for each in own.values()} == {torch.float16}
    average = checkpoint.load(whole / "checkpoint.pt")["average"]
    last = "roi_heads.keypoint_predictor.kps_score_lowres.bias"
    torch.testing.assert_close(own[last].float(), average[f"network.{last}"], atol=1e-4, rtol=1e-3)


def test_the_same_seed_gives_the_same_weights_and_another_one_others(whole: Path, tmp_path: Path) -> None:
    for seed in ("0", "1"):
        run = [*SMALL, "--steps", "6", "--set", "quantize.start=0.5", "--set", f"run.seed={seed}"]
        assert main([*run, "--out", str(tmp_path / seed)]) == 0
    one, same, other = (
        state_dict.read(folder / "last.safetensors") for folder in (whole, tmp_path / "0", tmp_path / "1")
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_stopped_by_ctrl_c_it_goes_on_as_if_nothing_had_been(whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engines.train", *SMALL[:-1], "--steps", "6", "--set", "quantize.start=0.5"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [*command, "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr
        assert any(line.startswith("step 1 ") for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"go on by:  python -m engines.train --resume --out {tmp_path}" in said
    reached = checkpoint.load(tmp_path / "checkpoint.pt")["step"]
    assert 1 <= reached < 6
    assert main(["--resume", "--quiet", "--out", str(tmp_path)]) == 0
    one, other = (state_dict.read(folder / "last.safetensors") for folder in (whole, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert log(tmp_path)[-1] == {**log(whole)[-1], "elapsed_s": log(tmp_path)[-1]["elapsed_s"]}


def test_stopped_while_it_rounds_it_goes_on_rounding(whole: Path, tmp_path: Path) -> None:
    settings = load_as(TrainSettings, str(whole / "settings.yaml"))
    asked: list[int] = []

    def fourth() -> bool:
        asked.append(1)
        return len(asked) == 4

    assert not Session(settings, tmp_path, torch.device("cpu"), lambda line: None).run(True, fourth)
    resumed = Session(settings, tmp_path, torch.device("cpu"), lambda line: None)
    resumed.resume()
    assert resumed.trainer.step == 4
    assert resumed.run(True, lambda: False, resumed=True)
    one, other = (state_dict.read(folder / "last.safetensors") for folder in (whole, tmp_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "settings: no pictures: give --data with a COCO file or a YOLO-pose folder, or --drawn"),
        (["--drawn"], 2, "settings: the run has no end: give --budget or --steps"),
        (["train-drawn", "--set", "run.bach=3"], 2, "--set: run.bach is unknown; did you mean batch?"),
        (["train-drawn", "--steps", "0"], 2, "--steps is 0; it should be greater than or equal to 1"),
        (["train-drawn", "--budget", "soon"], 2, "run.budget: got 'soon', expected a duration such as 2h, 90m or 1h30"),
        (["train-dawn"], 2, "train-dawn: no such file; give a YAML file or a preset: bottom_up, train-coco, train-"),
        (["train-lite", "--data", "none.json"], 3, "none.json cannot be read: No such file or directory"),
        (["train-drawn", "--device", "tpu"], 2, "--device tpu: expected auto, cpu, cuda or cuda:N"),
        (["--resume"], 6, "no checkpoint.pt in"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--out", str(tmp_path / "run")]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line


def test_a_folder_that_holds_a_training_is_not_written_over(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (whole / "checkpoint.pt").read_bytes()
    assert main([*SMALL, "--steps", "6", "--out", str(whole)]) == 5
    assert "holds a training: go on with it by --resume, or name another folder by --out" in capsys.readouterr().err
    assert (whole / "checkpoint.pt").read_bytes() == before
