"""Disks that are, or get, too full: told in one line, and what was committed stays and is gone on from."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numbered
import pytest
from media import noisy, write_video
from msgspec import structs

from configs.errors import OutputError
from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.outputs import output_folders
from stream.runtime.recovers import StageError
from stream.sources.find import find
from stream.space import check_space
from stream.summary import Summary

COUNT = 64


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a clip, whose workers find the tests' stages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    write_video(Path("clip.mp4"), [noisy(n) for n in range(COUNT)])


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    made = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def settings(folder: Path, *more: str) -> Settings:
    fixed = {"source.uris": ["clip.mp4"], "output.folder": str(folder), "infer.workers": 1}
    return load(None, ["runtime.cut_every=8", *more], fixed)


def run(wanted: Settings) -> tuple[Summary, Exception | None]:
    with output_folders(find(wanted.source.uris), wanted) as specs:
        return launch(wanted, specs, lambda: 0, lambda _: None, "numbered:Filmed")


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("keypoints.jsonl", "overlay.mp4")}


def test_a_run_that_fills_the_disk_is_finished_once_there_is_room(disk: Path) -> None:
    size = Path("clip.mp4").stat().st_size
    assert run(settings(Path("whole")))[1] is None
    filler = disk / "filler"
    filler.write_bytes(bytes((1 << 20) - int(0.7 * size) - (64 << 10)))
    summary, failure = run(settings(disk / "out"))
    assert isinstance(failure, StageError)
    assert failure.exit_code == OutputError.exit_code
    assert "No space left on device; free space or choose another --output" in str(failure)
    assert any("that may be too little" in note for note in summary.run.notes)
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    summary, failure = run(settings(disk / "out"))
    assert failure is None
    assert [note for note in summary.run.notes if note.startswith("continues clip at frame ")]
    assert outputs(disk / "out") == outputs(Path("whole"))


def test_where_overlays_will_surely_not_fit_no_run_is_begun(disk: Path) -> None:
    (disk / "filler").write_bytes(bytes((1 << 20) - (100 << 10)))
    with pytest.raises(OutputError) as caught:
        run(settings(disk / "out"))
    assert str(caught.value).startswith(f"overlays take about {os.stat('clip.mp4').st_size / 1e6:,.3g} MB and 0.0")
    assert str(caught.value).endswith("free space, choose another --output or leave overlays out by --no-save")
    assert run(settings(disk / "out", "video.save=false"))[1] is None


def test_what_is_written_already_needs_no_more_room(disk: Path) -> None:
    (disk / "filler").write_bytes(bytes((1 << 20) - (100 << 10)))
    segments = disk / "out" / ".segments"
    segments.mkdir(parents=True)
    wanted = settings(disk / "out")
    specs = [structs.replace(spec, folder=str(disk / "out")) for spec in find(["clip.mp4"])]
    with pytest.raises(OutputError):
        check_space(wanted, specs)
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    shutil.copy("clip.mp4", segments / "overlay-0.mp4")
    assert check_space(wanted, specs) == []
