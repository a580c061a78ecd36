"""Weights that are not at hand, as a user of the command line meets it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engines.weights import zoo
from stream.demo import make_scene

ROOT = Path(__file__).parents[2]

SURROUNDINGS = """
import os, sys
import run_pipeline
try:
    run_pipeline.main()
except SystemExit as end:
    print(end.code, os.environ.get("POSESTREAM_QUIET"))
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    make_scene(path, people=1, seconds=0.1)
    return path


@pytest.mark.parametrize(
    ("offline", "setting", "reason"),
    [
        ("1", "runtime.transport=ipc", "POSESTREAM_OFFLINE is set"),
        ("0", "runtime.groups=[[decode, infer, nms, track, records, render, video]]", "Connection refused"),
    ],
    ids=["offline", "refused"],
)
def test_weights_that_cannot_be_had_end_a_run_with_one_line(
    offline: str, setting: str, reason: str, tmp_path: Path, scene: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    surroundings = {name: value for name, value in os.environ.items() if name.lower() not in ("no_proxy", "all_proxy")}
    surroundings |= {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "POSESTREAM_OFFLINE": offline,
        "https_proxy": f"http://me:s3cret@127.0.0.1:{port}",
    }
    done = subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", scene, "--model", "r50", "--set", setting],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    put = tmp_path / "cache/posestream/weights" / zoo.COCO_V1.file
    assert done.returncode == 6
    assert done.stderr.splitlines() == [
        f"posestream: weights coco_v1 cannot be downloaded from {zoo.COCO_V1.url}: {reason}; "
        f"download it by other means to {put}"
    ]
    assert not put.exists()
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize(("option", "told"), [("--quiet", "1"), ("--debug", "None")])
def test_quiet_reaches_the_processes_that_would_tell_of_a_download(option: str, told: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SURROUNDINGS, tmp_path / "missing.mp4", option],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "POSESTREAM_QUIET"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == ["3", told]
