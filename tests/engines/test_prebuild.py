from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engines.backends.prebuild import Prebuild

ROOT = Path(__file__).parents[2]


def _builder(folder: Path) -> Prebuild:
    """Writes down the size, then waits to be killed or for a file that lets it end."""
    code = (
        "import os, sys, time\n"
        "print('building', *sys.argv[2:], flush=True)\n"
        "os.mkfifo(sys.argv[1]); open(sys.argv[1]).read()\n"
    )
    return Prebuild(
        lambda hw: [sys.executable, "-c", code, str(folder / f"{hw[0]}"), *map(str, hw)], folder / "logs" / "log"
    )


def _children() -> list[psutil.Process]:
    return psutil.Process().children()


@pytest.mark.timeout(60)
def test_one_builder_at_a_time_runs_once_for_each_size(tmp_path: Path) -> None:
    prebuild = _builder(tmp_path)
    prebuild.want((320, 576))
    (first,) = _children()
    prebuild.want((576, 320))
    prebuild.want((320, 576))
    assert _children() == [first]
    while not (tmp_path / "320").exists():
        assert first.is_running()
    (tmp_path / "320").open("w").close()  # it reads to the end and leaves
    prebuild._builder.wait()  # type: ignore[union-attr]
    prebuild.want((320, 576))
    assert _children() == []
    prebuild.want((576, 320))
    assert len(_children()) == 1
    while not (tmp_path / "576").exists():
        pass
    assert (tmp_path / "logs" / "log").read_text().splitlines() == ["building 320 576", "building 576 320"]


def test_the_builder_ends_with_the_one_who_wanted_it(tmp_path: Path) -> None:
    prebuild = _builder(tmp_path)
    prebuild.want((64, 64))
    (child,) = _children()
    del prebuild
    gc.collect()
    assert not child.is_running()


def test_a_builder_that_cannot_be_started_disturbs_nobody(tmp_path: Path) -> None:
    prebuild = Prebuild(lambda _: [str(tmp_path / "no such program")], tmp_path / "log")
    prebuild.want((64, 64))
    assert _children() == []


@pytest.mark.timeout(60)
def test_the_builder_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.engines.test_prebuild import _builder, _children\n"
        "prebuild = _builder(Path(sys.argv[1])); prebuild.want((64, 64))\n"
        "print(_children()[0].pid, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        builder = psutil.Process(int(process.stdout.readline()))
        assert builder.is_running()
        process.kill()
        _, alive = psutil.wait_procs([builder], timeout=30)
    assert not alive
