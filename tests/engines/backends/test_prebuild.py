from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from configs.errors import EngineError
from engines.backends.prebuild import Prebuild, child, child_environment

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT)  # where builders find `tests`


def _prebuild(folder: Path) -> Prebuild:
    return Prebuild("tests.engines.backends.made_builder", [str(folder)], folder / "logs" / "log")


def _children() -> list[psutil.Process]:
    return psutil.Process().children()


def _let_go(pipe: Path) -> None:
    while not pipe.exists():
        assert _children()
    pipe.open("w").close()


def test_one_builder_at_a_time_runs_once_for_each_size(tmp_path: Path) -> None:
    prebuild = _prebuild(tmp_path)
    prebuild.want((320, 576))
    (first,) = _children()
    assert first.nice() == 19
    prebuild.want((576, 320))
    prebuild.want((320, 576))
    assert _children() == [first]
    _let_go(tmp_path / "320x576")
    prebuild._builder.wait()  # type: ignore[union-attr]
    prebuild.want((320, 576))
    assert _children() == []
    prebuild.want((576, 320))
    assert len(_children()) == 1
    _let_go(tmp_path / "576x320")
    assert (tmp_path / "logs" / "log").read_text().splitlines() == ["building 320x576", "building 576x320"]


def test_the_builder_ends_with_the_one_who_wanted_it(tmp_path: Path) -> None:
    prebuild = _prebuild(tmp_path)
    prebuild.want((64, 64))
    (builder,) = _children()
    del prebuild
    gc.collect()
    assert not builder.is_running()


def test_a_builder_that_cannot_be_started_disturbs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    _prebuild(tmp_path).want((64, 64))
    assert _children() == []
    with pytest.raises(EngineError, match=r"cannot start the builder of its engines: .*no such program"):
        _prebuild(tmp_path).now((64, 64))


def test_the_builder_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from tests.engines.backends.test_prebuild import _prebuild, _children\n"
        "prebuild = _prebuild(Path(sys.argv[1])); prebuild.want((64, 64))\n"
        "print(_children()[0].pid, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(ROOT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        builder = psutil.Process(int(process.stdout.readline()))
        while not (tmp_path / "64x64").exists():
            assert builder.is_running()
        process.kill()
        _, alive = psutil.wait_procs([builder], timeout=30)
    assert not alive


def test_who_waits_for_a_builder_is_told_what_it_says_and_how_it_ended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "code").write_text("0")
    _prebuild(tmp_path).now((320, 576))
    said = capfd.readouterr().err.splitlines()
    command = f"python -m tests.engines.backends.made_builder {tmp_path} --imgsz 320x576"
    assert said == [f"building TensorRT's engines, which takes minutes: {command}", "building 320x576"]
    (tmp_path / "code").write_text("6")
    with pytest.raises(EngineError, match="backend tensorrt has no engines: their builder failed"):
        _prebuild(tmp_path).now((320, 576))


def test_a_file_of_the_folder_that_we_are_called_in_takes_no_builder_s_place(tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "__init__.py").touch()
    (tmp_path / "engines" / "compile.py").write_text("print('of that folder')")
    command = child("engines.compile", ["--help"])
    done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True, check=True)
    assert "python -m engines.compile" in done.stdout
