"""Trees of files: which are taken, and what they are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configs.errors import SourceError
from stream.sources.find import find
from stream.sources.folder import Wanted


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/clip.mp4", "a/clip.mp4", "a/day 2/clip.mov", "clip.mp4", "a/.trash/x.mp4", "a/cover.jpg", "n.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    return tmp_path


def names(tree: Path, **wanted: bool | tuple[str, ...]) -> list[str]:
    return [spec.name for spec in find([str(tree)], wanted=Wanted(**wanted))]


def test_a_tree_s_videos_are_named_by_their_folders_too(tree: Path) -> None:
    assert names(tree) == ["clip"]
    assert names(tree, recursive=True) == ["clip", "a__clip", "a__day 2__clip", "b__clip"]
    (tree / "0").mkdir()
    (tree / "0/clip.mp4").write_bytes(b"x")  # what is new changes no other's name
    assert set(names(tree, recursive=True)) == {"clip", "0__clip", "a__clip", "a__day 2__clip", "b__clip"}


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        (("a",), (), ["a__clip", "a__day 2__clip"]),
        (("*.mov", "b/*"), (), ["a__day 2__clip", "b__clip"]),
        ((), ("*.mp4",), ["a__day 2__clip"]),
        ((), ("day*",), ["clip", "a__clip", "b__clip"]),
        (("a",), ("a/clip.*",), ["a__day 2__clip"]),
    ],
)
def test_globs_fit_paths_names_and_folders(
    tree: Path, include: tuple[str, ...], exclude: tuple[str, ...], left: list[str]
) -> None:
    assert names(tree, recursive=True, include=include, exclude=exclude) == left


def test_globs_choose_among_the_files_of_a_glob_too(tree: Path) -> None:
    found = find([str(tree / "*/*.mp4")], wanted=Wanted(exclude=("b",)))
    assert [spec.name for spec in found] == ["clip"]


def test_a_tree_without_videos_has_a_source_a_folder_of_images(tmp_path: Path) -> None:
    for name in ("x/2.jpg", "x/10.jpg", "y/z/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find([str(tmp_path)], wanted=Wanted(recursive=True))
    assert [(spec.kind, spec.name) for spec in found] == [("images", "x"), ("images", "y__z")]


def test_a_folder_that_holds_nothing_wanted_says_where_to_look(tree: Path) -> None:
    with pytest.raises(SourceError, match=r"no video and no image that --include and --exclude leave$"):
        find([str(tree)], wanted=Wanted(recursive=True, include=("*.avi",)))
    (tree / "clip.mp4").unlink()
    with pytest.raises(SourceError, match=r"no video and no image; --recursive looks into the folders in it$"):
        find([str(tree)])


def test_bad_files_and_folders_do_not_stop_the_others(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "b/empty.mp4").touch()
    assert [spec.name for spec in find([str(tree / "b/*.mp4")])] == ["clip", "empty"]
    (tree / "b").chmod(0)
    try:
        left = names(tree, recursive=True)
    finally:
        (tree / "b").chmod(0o755)
    if os.geteuid():  # root reads all
        assert left == ["clip", "a__clip", "a__day 2__clip"]
        assert (
            "b: folder cannot be read: Permission denied; check its permissions; it is left out"
            in capfd.readouterr().err
        )


def test_a_source_may_be_named(tree: Path) -> None:
    assert [spec.name for spec in find([f"front={tree / 'a/clip.mp4'}", "yard=rtsp://10.0.0.7/1"])] == ["front", "yard"]
    (tree / "a=b.mp4").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"no such file"):
        find([f"..={tree / 'clip.mp4'}"])
    assert [spec.name for spec in find([str(tree / "a=b.mp4")])] == ["a=b"]
