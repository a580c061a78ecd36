"""Several processes learn what one would from all their pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from parallel_training import train

PROGRAM = Path(__file__).with_name("parallel_training.py")


def test_two_processes_go_the_way_of_one_with_all_pictures() -> None:
    path = os.pathsep.join([str(PROGRAM.parent), *sys.path])
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(PROGRAM), "8", "12"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line.split() for line in run.stdout.splitlines()]
    alone = train(8, 12)
    assert [(int(number), int(samples)) for number, samples, *_ in lines] == [
        (step.number, step.samples) for step in alone
    ]
    for (_, _, *losses), step in zip(lines, alone, strict=True):
        assert [float.fromhex(loss) for loss in losses] == pytest.approx(list(step.losses.values()), rel=1e-4)
    half = train(4, 12)[-1].losses["mean"]
    assert half != pytest.approx(alone[-1].losses["mean"], rel=1e-2)  # half of the pictures would have gone elsewhere
