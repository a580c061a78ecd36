"""Other keypoints than COCO's: from a folder of labels to a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from configs.errors import EngineError
from configs.schema import EngineSettings
from configs.skeleton import SkeletonSettings
from engines import evaluate
from engines.ops.skeleton import COCO, Skeleton
from engines.pose_engine import PoseEngine, load
from engines.train import pictures
from engines.train.__main__ import main
from engines.train.synthetic import Still, picture
from engines.train.yolo import yolo_lines
from engines.weights import state_dict

NAMES = ["nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle"]
SETTINGS = {
    "skeleton": {
        "names": NAMES,
        "limbs": [["nose", "left_wrist"], ["nose", "right_wrist"]],
        "mirror": [["left_wrist", "right_wrist"], ["left_ankle", "right_ankle"]],
        "sigmas": [0.03, 0.06, 0.06, 0.09, 0.09],
    },
    "pictures": {"height_px": 192, "width_px": 320},
    "init": {"model": "lite", "from": "lite"},
    "run": {"steps": 3, "batch": 2, "precision": "fp32"},
    "validate": {"pictures": 4},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLO-pose folder of 24 drawings with five of their keypoints, and a settings file that names them."""
    folder = tmp_path_factory.mktemp("data")
    for part in ("images", "labels"):
        (folder / part).mkdir()
    rng = np.random.default_rng(0)
    at = [COCO.index(name) for name in NAMES]
    for number in range(24):
        pixels, target = picture(Still(people=(1, 2), height_px=(180, 280), occluders=0), rng)
        pictures.write(folder / f"images/{number}.png", pixels)
        lines = [line.split() for line in yolo_lines(target)]
        five = [line[:5] + [word for k in at for word in line[5 + 3 * k : 8 + 3 * k]] for line in lines]
        (folder / f"labels/{number}.txt").write_text("\n".join(" ".join(line) for line in five))
    (folder / "five.yaml").write_text(json.dumps({**SETTINGS, "data": {"labels": str(folder), "cache": str(folder)}}))
    return folder


@pytest.fixture(scope="module")
def weights(data: Path) -> Path:
    assert main([str(data / "five.yaml"), "--out", str(data / "run"), "--quiet"]) == 0
    return data / "run/last.safetensors"


def test_the_network_has_a_heat_map_for_each_keypoint(weights: Path) -> None:
    assert state_dict.read(weights)["roi_heads.keypoint_predictor.kps_score_lowres.weight"].shape[1] == len(NAMES)
    settings = EngineSettings(weights=str(weights), backend="eager")
    engine = PoseEngine(settings, Skeleton(SkeletonSettings.model_validate(SETTINGS["skeleton"])))
    (found,) = engine([np.zeros((64, 64, 3), np.uint8)])
    assert found.keypoints.shape[1:] == (len(NAMES), 2)


def test_without_its_skeleton_it_is_refused(weights: Path) -> None:
    with pytest.raises(EngineError, match=r"finds 5 keypoints and skeleton\.names has 17: name those of the model"):
        load(weights=str(weights), backend="eager")


def test_it_is_scored_by_its_own_keypoints(data: Path, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(data), "--weights", str(weights), "--skeleton", str(data / "five.yaml")]
    assert evaluate.main([*arguments, "--backend", "eager", "--score-min", "0.01", "--out", str(data / "report")]) == 0
    assert list(json.loads((data / "report/report.json").read_text())["ap_by_keypoint"]) == NAMES
    assert f"{'left_ankle':<16}" in capsys.readouterr().out


def test_a_coco_file_of_other_keypoints_says_what_to_do(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        "images": [{"id": 1, "width": 8, "height": 8, "file_name": "a.png"}],
        "annotations": [],
        "categories": [{"id": 1, "name": "hand", "keypoints": ["tip", "root"]}],
    }
    (tmp_path / "hands.json").write_text(json.dumps(content))
    assert main(["--data", str(tmp_path / "hands.json"), "--steps", "1", "--out", str(tmp_path / "run")]) == 3
    said = capsys.readouterr().err
    assert "hands.json labels tip, root; expected nose, left_eye" in said
    assert "name its keypoints as skeleton.names in a settings file" in said
