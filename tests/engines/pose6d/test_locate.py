"""The bundled network finds the truck, and its commands work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engines.pose6d import evaluate, train, truck
from engines.pose6d.camera import angle_deg
from engines.pose6d.locate import BUNDLED, Locator
from engines.pose6d.views import Views, any_view, picture
from engines.train.synthetic import background
from engines.weights.zoo import ASSETS


@pytest.fixture(scope="module")
def locator() -> Locator:
    return Locator()


def test_the_card_is_of_the_bundled_file() -> None:
    assert hashlib.sha256(BUNDLED.read_bytes()).hexdigest() in (ASSETS / "pose6d.md").read_text()
    assert BUNDLED.stat().st_size <= 2_000_000


def test_it_is_found_in_the_whole_picture_and_again_where_it_was(locator: Locator) -> None:
    rng = np.random.default_rng(5)
    view = any_view(Views(), np.zeros(3), rng)
    made = picture(truck.mesh(), truck.keypoints(), view, Views().size_hw, rng, occluders=0)
    first = locator.locate(made.pixels, view.camera)
    assert first
    again = locator.locate(made.pixels, view.camera, first.estimate)
    for located in (first, again):
        assert located
        assert located.estimate.verdict == "ok"
        assert located.estimate.pose
        assert angle_deg(located.estimate.pose.rotation, view.rotation) < 3
        assert located.estimate.pose.translation == pytest.approx(view.translation, rel=0.02, abs=0.01)


def test_where_it_was_before_and_is_no_more_it_is_not_found(locator: Locator) -> None:
    rng = np.random.default_rng(5)
    view = any_view(Views(), np.zeros(3), rng)
    made = picture(truck.mesh(), truck.keypoints(), view, Views().size_hw, rng, occluders=0)
    before = locator.locate(made.pixels, view.camera)
    assert before
    nothing = background(np.random.default_rng(1), Views().size_hw)
    assert locator.locate(nothing, view.camera, before.estimate) is None


def test_evaluate_needs_no_arguments_but_how_many_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["--pictures", "8", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    rows = {row["condition"]: row for row in said["rows"]}
    assert rows["as found"]["rotation_deg"] < 3
    assert rows["as found"]["translation"] < 0.02
    assert rows["30% outliers"]["rotation_deg"] < 6
    assert rows["noise 2 cells"]["rotation_deg"] > rows["as found"]["rotation_deg"]
    assert 0.2 < said["keypoints"]["deviation_cells"] < 0.8


def test_other_weights_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    other = ASSETS / "lite.safetensors"
    assert evaluate.main(["--weights", str(other), "--pictures", "1"]) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"error: weights file {other} is not of hourglass-truck; make one by python -m engines.pose6d.train"
    )


def test_a_training_leaves_weights_that_are_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    assert train.main(["--steps", "2", "--quiet", "--out", str(folder)]) == 0
    Locator(folder / "best.safetensors")
    Locator(folder / "last.safetensors")
    capsys.readouterr()
    assert train.main(["--steps", "2", "--quiet", "--out", str(folder)]) == 5
    assert f"error: {folder} holds a training: go on with it by --resume" in capsys.readouterr().err
    assert train.main(["--steps", "2", "--resume", "--out", str(tmp_path / "none")]) == 6
    assert "to go on from; name the folder of the run by --out" in capsys.readouterr().err
