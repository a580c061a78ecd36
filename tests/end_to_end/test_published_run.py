"""--publish as a user meets it: another program reads along, and what is unsafe is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from stream.client import subscribe
from stream.demo import make_scene

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.mp4"
    make_scene(path, people=2, seconds=1.0)
    return path


@pytest.mark.parametrize("arguments", [[], ["--realtime"], ["--config", "one_process"]], ids=["file", "live", "inproc"])
def test_another_program_gets_the_records_of_a_run(tmp_path: Path, scene: Path, arguments: list[str]) -> None:
    address = f"ipc://{tmp_path}/keypoints"
    command = [sys.executable, ROOT / "run_pipeline.py", scene, "-o", "run", "--no-save", "--publish", address]
    command += ["--set", "infer.workers=1"]
    with subscribe(address, "scene", timeout_s=120) as frames:
        run = subprocess.Popen([*command, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        got = [json.loads(msgspec.json.encode(frame)) for frame in frames]
        _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert f"keypoints are published at {address}" in said
    written = {
        row["index"]: row for row in map(json.loads, (tmp_path / "run/keypoints.jsonl").read_text().splitlines())
    }
    assert list(written)[-len(got) :] == [row["index"] for row in got]
    for row in got:
        clocks = ("age_ms", "stages_ms")  # the file's was written a moment before
        assert {key: row[key] for key in row if key not in clocks} == {
            key: written[row["index"]][key] for key in written[row["index"]] if key not in clocks
        }
    assert len(got) > 1
    assert not (tmp_path / "keypoints").exists()


def test_publishing_to_other_machines_without_keys_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "config")}
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", "--publish", "tcp://0.0.0.0:5556"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert time.monotonic() - started_s < 30  # a download would take longer
    assert done.returncode == 8
    assert done.stderr == (
        "posestream: publish tcp://0.0.0.0:5556: other machines reach it, and nobody has a key to read it; make one "
        "for each client: python -m stream.keys new NAME, or publish at tcp://127.0.0.1:PORT\n"
    )
    assert not (tmp_path / "runs").exists()
