"""The benchmark of two modes: its figures, and one line for each thing that is wrong."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stream.demo import make_scene

ROOT = Path(__file__).parents[2]
EAGER = ["--set", "engine.backend=eager"]


@pytest.fixture(scope="module")
def main() -> Callable[[list[str]], int]:
    spec = importlib.util.spec_from_file_location("agreement", ROOT / "benchmarks/agreement.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    make_scene(path, people=2, seconds=0.1)
    return str(path)


def test_people_of_a_scene_are_compared(
    main: Callable[[list[str]], int], scene: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([scene, "--every", "3", *EAGER]) == 0
    header, speed, alike = capsys.readouterr().out.splitlines()
    assert header.startswith("lite, ")
    assert ": 1 frames, " in header
    assert "times as fast" in speed
    assert re.fullmatch(
        r"of 2 people 100\.0% found; mean OKS (0\.9\d\d|1\.000), of keypoints at least 0\.3 sure (0\.9\d\d|1\.000)",
        alike,
    )


def test_nobody_to_compare_is_said(
    main: Callable[[list[str]], int], scene: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([scene, "--every", "3", "--height-min", "9999", *EAGER]) == 3
    said = capsys.readouterr()
    assert "nan" not in said.out
    assert said.err == (
        "agreement: nobody to compare: exact found nobody over 9999 pixels tall and at least 0.5 sure; "
        "give other clips, or lower --height-min or --score-min\n"
    )


def test_people_that_the_mode_does_not_find_are_no_nan(
    main: Callable[[list[str]], int], scene: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([scene, "--every", "3", "--set", "engine.score_min=1", *EAGER]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "of 2 people 0.0% found; mean OKS unknown, of keypoints at least 0.3 sure unknown"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["missing.mp4"], 3, "missing.mp4: no such file; check the path"),
        ([str(ROOT / "README.md"), *EAGER], 3, f"{ROOT / 'README.md'}: not a video that can be read"),
        (["--model", "r51"], 2, "engine.model is 'r51'; it should be 'auto', 'lite'"),
        (["--set", "engine.imgsz=1"], 2, "--set: engine.imgsz is 1; it should be greater than or equal to 64"),
        (["--model", "r50"], 6, "weights coco_v1 cannot be downloaded from "),
        (["--weights", "my #1.safetensors"], 6, "no weights file my #1.safetensors"),
    ],
)
def test_what_is_wrong_gets_one_line_and_its_exit_code(
    main: Callable[[list[str]], int],
    scene: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    clips = [] if not arguments[0].startswith("--") else [scene]
    assert main([*clips, *arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"agreement: {said}")


@pytest.mark.parametrize("every", ["0", "-1", "x", "1.5"])
def test_every_so_manieth_frame_is_a_number_from_1_on(
    main: Callable[[list[str]], int], scene: str, capsys: pytest.CaptureFixture[str], every: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main([scene, f"--every={every}"])
    assert f"argument --every: got {every}, expected a number from 1 on" in capsys.readouterr().err
