"""The bundled bottom-up network: loaded, run by backends, scored and used by the pipeline."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from configs.schema import EngineSettings
from engines.evaluate import main
from engines.evaluation import similarity
from engines.evaluation.precision import summary
from engines.ops.people import People
from engines.ops.skeleton import COCO
from engines.pose_engine import PoseEngine, load
from engines.train.synthetic import Still, picture
from engines.train.target import Sample
from engines.weights.zoo import ASSETS
from stream.demo import make_walkers

ROOT = Path(__file__).parents[3]
FILE = ASSETS / "bottom-up.safetensors"
BYTES_MAX = 8_000_000
CROWD = Still(size_hw=(320, 448), people=(2, 16), height_px=(40, 220))


@pytest.fixture(scope="module")
def crowds() -> list[Sample]:
    """Drawn crowds of a seed that no training uses."""
    rng = np.random.default_rng(2_000_000_001)
    return [picture(CROWD, rng) for _ in range(30)]


@pytest.fixture(scope="module")
def engine() -> PoseEngine:
    return load("bottom-up", backend="eager")


def assert_alike(one: People, other: People) -> None:
    assert len(one) == len(other) > 0
    np.testing.assert_allclose(one.scores, other.scores, atol=2e-3)
    sure = (one.confidence > 0.3) & (other.confidence > 0.3)
    np.testing.assert_allclose(one.keypoints[sure], other.keypoints[sure], atol=0.1)


def test_the_bundled_weights_are_those_on_their_card() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in (ASSETS / "bottom-up.md").read_text()
    assert FILE.stat().st_size <= BYTES_MAX


@pytest.mark.parametrize("grouping", ["paf", "tags"])
def test_people_of_held_back_crowds_are_found(crowds: list[Sample], grouping: Literal["tags", "paf"]) -> None:
    engine = load("bottom-up", backend="eager", grouping=grouping)
    scored = [similarity.by_keypoints(engine([pixels])[0], target, COCO.sigmas) for pixels, target in crowds]
    assert summary(scored)["AP50"] > 0.6  # as promised on the card; measured there


def test_a_crowd_is_the_same_alone_and_beside_another(engine: PoseEngine, crowds: list[Sample]) -> None:
    frames = [sample.pixels for sample in crowds[:3]]
    for together, frame in zip(engine(frames), frames, strict=True):
        assert_alike(together, engine([frame])[0])


def test_another_backend_finds_the_same_people(engine: PoseEngine, crowds: list[Sample]) -> None:
    compiled = PoseEngine(EngineSettings(model="bottom-up", device="cpu", backend="openvino", verify=True))
    assert any(note.startswith("agrees with the reference") for note in compiled.notes)
    (people,), (wanted,) = compiled([crowds[0].pixels]), engine([crowds[0].pixels])
    sure = (people.scores > 0.5).sum()
    assert_alike(people.take(np.arange(sure)), wanted.take(np.arange(sure)))


def test_fast_finds_nearly_the_same_people(crowds: list[Sample]) -> None:
    fast = load("bottom-up", backend="eager", mode="fast")
    scored = [similarity.by_keypoints(fast([pixels])[0], target, COCO.sigmas) for pixels, target in crowds]
    assert summary(scored)["AP50"] > 0.5


def test_weights_tell_that_they_are_for_it(crowds: list[Sample], engine: PoseEngine) -> None:
    named = load(weights=str(FILE), backend="eager")
    assert named.notes[0] == "model bottom-up: the weights say that they are for it"
    assert_alike(named([crowds[1].pixels])[0], engine([crowds[1].pixels])[0])


def test_the_command_scores_it(tmp_path: Path) -> None:
    scored = []
    for grouping in ("paf", "tags"):
        arguments = ["--drawn", "6", "--people", "8", "8", "--model", "bottom-up", "--backend", "eager"]
        assert main([*arguments, "--grouping", grouping, "--out", str(tmp_path / grouping)]) == 0
        report = json.loads((tmp_path / grouping / "report.json").read_text())
        assert 30 < report["people"] <= 48  # some are hidden but for a few pixels
        scored.append(report["keypoint_ap"]["AP50"])
    assert min(scored) > 0.5
    assert scored[0] != scored[1]


def test_the_pipeline_follows_its_people(tmp_path: Path) -> None:
    truth = make_walkers(tmp_path / "scene.mp4", people=3, seconds=1.0)
    command = [sys.executable, str(ROOT / "run_pipeline.py"), "--source", "scene.mp4", "--model", "bottom-up"]
    done = subprocess.run(
        [*command, "--grouping", "paf", "--output", "run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "run/keypoints.jsonl").read_text().splitlines()]
    assert len(rows) == len(truth) == 30
    truly, followed = 0, []
    for row, target in zip(rows[10:], truth[10:], strict=True):
        for xy, visibility in zip(target.keypoints, target.visibility, strict=True):
            seen = np.flatnonzero(visibility == 2)
            if len(seen) < 6:
                continue
            truly += 1
            for person in row["people"]:
                off_px = np.linalg.norm(np.array(person["raw_keypoints"])[seen, :2] - xy[seen], axis=1)
                if np.median(off_px) < 0.08 * np.ptp(xy[seen], axis=0).max():
                    followed.append(person["id"])
                    break
    assert len(followed) > 0.6 * truly
    assert 2 <= len(set(followed)) <= 5
    assert (tmp_path / "run/overlay.mp4").stat().st_size > 10_000
