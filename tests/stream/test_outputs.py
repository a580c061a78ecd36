"""Where outputs go: whose a folder is, and what is never replaced."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from configs.errors import OutputError
from configs.load import load
from configs.schema import Settings
from stream.messages import SourceSpec
from stream.outputs import LOCK, output_folders

CLIP = SourceSpec("clip", "file", "clip.mp4")
HOLD = """
import sys
from configs.load import load
from stream.messages import SourceSpec
from stream.outputs import output_folders
settings = load(None, ["output.folder=out", "output.overwrite=true"])
with output_folders([SourceSpec("clip", "file", "clip.mp4")], settings):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(folder: str | None = None, overwrite: bool = False, sources: tuple[str, ...] = ()) -> Settings:
    return load(
        None, (), {"output.folder": folder, "output.overwrite": overwrite, "source.uris": list(sources) or None}
    )


def write(specs: list[SourceSpec], wanted: Settings, text: str = "new") -> list[str]:
    """The folders that a run writes a line into."""
    with output_folders(specs, wanted) as placed:
        for spec in placed:
            (Path(spec.folder) / "keypoints.jsonl").write_text(text)
    return [spec.folder for spec in placed]


def test_nothing_is_overwritten_unasked() -> None:
    for folder in ("runs/clip", "runs/clip-2", "runs/clip-3"):
        assert write([CLIP], settings()) == [folder]
    assert write([CLIP], settings("out")) == ["out"]
    assert write([CLIP], settings("out")) == ["out-2"]


def test_overwrite_takes_the_folder_and_leaves_other_files_alone() -> None:
    write([CLIP], settings("out"), "old")
    Path("out/mine.txt").write_text("kept")
    assert write([CLIP], settings("out", overwrite=True)) == ["out"]
    assert Path("out/keypoints.jsonl").read_text() == "new"
    assert sorted(os.listdir("out")) == ["keypoints.jsonl", "mine.txt"]


def test_several_sources_get_a_folder_each_in_the_one_that_is_named() -> None:
    specs = [CLIP, structs.replace(CLIP, name="other")]
    assert write(specs, settings("out")) == ["out/clip", "out/other"]
    assert write(specs, settings("out")) == ["out/clip-2", "out/other-2"]
    assert write(specs, settings()) == ["runs/clip", "runs/other"]


def test_what_a_run_made_and_left_empty_is_removed_and_nothing_else() -> None:
    Path("mine").mkdir()
    for wanted in (settings(), settings("new/deep/down"), settings("mine", overwrite=True)):
        with output_folders([CLIP], wanted) as (spec,):
            assert Path(spec.folder).is_dir()
    assert os.listdir() == ["mine"]


def test_an_error_in_the_run_removes_empty_folders_too() -> None:
    with pytest.raises(ZeroDivisionError), output_folders([CLIP], settings()):
        _ = 1 / 0
    assert os.listdir() == []


@pytest.mark.parametrize("folder", [".", "..", "/", "out/.."])
def test_a_folder_without_a_next_name_is_refused(folder: str) -> None:
    Path("out").mkdir()
    with pytest.raises(OutputError, match=r"is there already; name a new folder or give --overwrite$"):
        write([CLIP], settings(folder))
    assert os.listdir() == ["out"]


def test_a_folder_without_a_name_is_refused() -> None:
    with pytest.raises(OutputError, match=r"^--output is empty; give a folder$"):
        write([CLIP], settings(""))


def test_a_tilde_is_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert write([CLIP], settings("~/x")) == [str(tmp_path / "home/x")]


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("file", "^output file is a file; give a folder with --output$"),
        ("file/below", "^output file/below cannot be made: Not a directory; give a folder you may write to"),
        ("a" * 300, "^output a{300} cannot be made: File name too long; give a folder you may write to"),
        ("/proc/x", "^output /proc/x cannot be made: No such file or directory; give a folder you may write to"),
    ],
)
def test_a_folder_that_cannot_be_made_is_one_line(folder: str, said: str) -> None:
    Path("file").touch()
    with pytest.raises(OutputError, match=said):
        write([CLIP], settings(folder, overwrite=True))


def test_a_folder_has_one_owner_at_a_time() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        owner = f"process {run.pid} on {os.uname().nodename}"
        with pytest.raises(OutputError) as caught:
            write([CLIP], settings("out", overwrite=True))
        assert str(caught.value) == f"output out is in use by {owner}; wait for it or choose another --output"
        assert write([CLIP], settings("out")) == ["out-2"]
        run.kill()
    assert os.listdir("out") == [LOCK]  # it had no chance to tidy up
    assert write([CLIP], settings("out", overwrite=True)) == ["out"]
    assert os.listdir("out") == ["keypoints.jsonl"]


def test_a_lock_file_that_its_owner_removes_meanwhile_locks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock

    def after_its_removal(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        Path("out", LOCK).unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", after_its_removal)
    with output_folders([CLIP], settings("out")):
        assert os.listdir("out") == [LOCK]


def test_a_refused_second_source_gives_the_first_one_s_folder_back() -> None:
    specs = [CLIP, structs.replace(CLIP, name="other")]
    with output_folders([CLIP], settings("out/other", overwrite=True)):
        with pytest.raises(OutputError, match=r"^output out/other is in use by process"):
            write(specs, settings("out", overwrite=True))
        assert os.listdir("out") == ["other"]


def link(source: str, name: str) -> str:
    os.symlink(source, name)
    return name


def hard_link(source: str, name: str) -> str:
    os.link(source, name)
    return name


@pytest.mark.parametrize("output", ["overlay.mp4", "keypoints.jsonl", "run.json", "overlay.mp4.part"])
@pytest.mark.parametrize(
    "name",
    [
        lambda path: path,
        lambda path: f"./keep/../{path}",
        os.path.abspath,
        lambda path: link(path, "link.mp4"),
        lambda path: hard_link(path, "hard.mp4"),
    ],
    ids=["itself", "spelling", "absolute", "symbolic link", "hard link"],
)
def test_a_source_is_never_replaced_by_an_output(output: str, name) -> None:
    Path("keep").mkdir()
    Path("keep", output).write_text("the source")
    uri = name(f"keep/{output}")
    with pytest.raises(OutputError) as caught:
        write([SourceSpec("clip", "file", uri)], settings("keep", overwrite=True, sources=(uri,)))
    assert str(caught.value) == f"output keep/{output} is the source {uri}; choose another --output"
    assert Path("keep", output).read_text() == "the source"
    assert os.listdir("keep") == [output]


def test_a_source_is_not_replaced_by_another_one_s_output_either() -> None:
    Path("out/b").mkdir(parents=True)
    Path("out/b/overlay.mp4").write_text("the source")
    specs = [SourceSpec("a", "file", "out/b/overlay.mp4"), SourceSpec("b", "file", "b.mp4")]
    with pytest.raises(OutputError, match=r"^output out/b/overlay\.mp4 is the source out/b/overlay\.mp4"):
        write(specs, settings("out", overwrite=True))


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        (SourceSpec("pics", "images", "pics"), "pics"),
        (SourceSpec("clip", "file", "pics/clip.mp4"), "./pics"),
        (SourceSpec("clip", "file", "pics/clip.mp4"), "pics/*.mp4"),
    ],
    ids=["pictures", "folder", "glob"],
)
def test_outputs_do_not_become_the_sources_of_the_next_run(spec: SourceSpec, asked: str) -> None:
    Path("pics").mkdir()
    os.symlink("pics", "same")
    with pytest.raises(OutputError, match=r"^output same is the folder that is read: its overlay would be a source"):
        write([spec], settings("same", overwrite=True, sources=(asked,)))
    assert os.listdir("pics") == []


def test_a_source_named_by_itself_may_have_its_outputs_beside_it() -> None:
    Path("clip.mp4").touch()
    assert write([CLIP], settings(".", overwrite=True, sources=("clip.mp4",))) == ["."]
    assert write([SourceSpec("pics", "images", ".")], settings("out", sources=(".",))) == ["out"]
