"""A run that is interrupted before its first frame."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from media import write_video

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)
def test_a_run_interrupted_while_its_workers_start_ends_at_once(tmp_path: Path, sent: signal.Signals) -> None:
    write_video(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)])
    process = subprocess.Popen(
        [sys.executable, ROOT / "run_pipeline.py", "clip.mp4", "--output", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal sends it to a process group
    )
    while len(psutil.Process(process.pid).children()) < 4:
        assert process.poll() is None
    os.killpg(process.pid, sent)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (128 + sent, "")
    assert not (tmp_path / "out").exists()
