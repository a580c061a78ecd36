"""What stands behind --source is found, and what is no source is named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from configs.errors import ConfigError, SourceError
from stream.sources.find import find


def make(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")


def test_a_folder_stands_for_its_videos_as_people_count(tmp_path: Path) -> None:
    make(tmp_path / "d", "b10.mp4", "b2.MOV", "a.mkv", "notes.txt", "cover.jpg", ".hidden.mp4")
    assert [Path(spec.uri).name for spec in find([str(tmp_path / "d")])] == ["a.mkv", "b2.MOV", "b10.mp4"]


def test_a_folder_without_videos_is_one_source_of_images(tmp_path: Path) -> None:
    make(tmp_path / "d", "2.jpg", "1.png", "notes.txt")
    (spec,) = find([str(tmp_path / "d")])
    assert (spec.kind, spec.name) == ("images", "d")


def test_names_are_unique_and_a_file_may_have_any_ending(tmp_path: Path) -> None:
    make(tmp_path / "a", "clip.mp4", "clip.dat")
    make(tmp_path / "b", "clip.mp4")
    specs = find([str(tmp_path / "a/clip.mp4"), str(tmp_path / "a/clip.dat"), str(tmp_path / "b")])
    assert [spec.name for spec in specs] == ["clip", "clip-2", "clip-3"]


def test_a_glob_goes_into_folders_when_it_says_so(tmp_path: Path) -> None:
    make(tmp_path / "a", "1.mp4")
    make(tmp_path / "a/b", "2.mp4", "10.mp4")
    assert [Path(spec.uri).name for spec in find([str(tmp_path / "**/*.mp4")])] == ["1.mp4", "2.mp4", "10.mp4"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    make(tmp_path, "take[1].mp4")
    assert [spec.name for spec in find([str(tmp_path / "take[1].mp4")])] == ["take[1]"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("none.mp4", r"none\.mp4: no such file; check the path"),
        ("*.none", r"\*\.none: no file matches"),
        ("empty.mp4", "empty.mp4: the file is empty"),
        ("pipe", "pipe: not a regular file"),
        ("text", "text: folder holds no video and no image"),
        ("pipe", "a named pipe needs --allow-pipe"),
        ("ftp://me:secret@host/a.mp4", r"ftp://\*\*\*@host/a.mp4: ftp is not read; it should be one of http, https"),
        ("rtsp://me:sec/ret@host/a?b=secret", r"rtsp://\*\*\*@host/a\?b=\*\*\*: not a valid address"),
        ("rtsp:///path", "rtsp:///path: not a valid address"),
        ("rtsp://host:99999/a", "rtsp://host:99999/a: not a valid address"),
        ("concat:http://me:secret@host/a", "concat:.*FFmpeg's protocols are not read"),
        ("cams.streams", "cams.streams: cannot be read: No such file or directory; check the path"),
    ],
)
def test_what_is_no_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe")
    make(tmp_path / "text", "a.txt")
    with pytest.raises(SourceError, match=said) as caught:
        find([source])
    assert "secret" not in str(caught.value)


def test_a_source_without_a_name_is_no_folder() -> None:
    with pytest.raises(ConfigError, match="--source is empty; give a file, a folder, a glob, a camera or an address"):
        find([""])


@pytest.mark.parametrize("name", ["2026-11-25T14:30:05.mp4", "concat:a.mp4", "file:a.mp4", "7"])
def test_a_file_is_found_though_its_name_looks_like_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    (spec,) = find([name])
    assert (spec.path, spec.label) == (name, name)


def test_a_gif_beside_images_is_no_video_and_by_itself_is(tmp_path: Path) -> None:
    make(tmp_path / "both", "a.gif", "1.png", "2.heic")
    make(tmp_path / "gif", "a.gif", "notes.txt")
    make(tmp_path / "video", "a.gif", "b.mp4", "1.png")
    assert [spec.kind for spec in find([str(tmp_path / "both")])] == ["images"]
    assert [Path(spec.path).name for spec in find([str(tmp_path / "gif")])] == ["a.gif"]
    assert [Path(spec.path).name for spec in find([str(tmp_path / "video")])] == ["a.gif", "b.mp4"]


@contextmanager
def somebody_else() -> Iterator[None]:
    """Run as a user who may not read everything, and who may come here at all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that one may not enter, with a file in it; the current folder is the one it lies in."""
    make(tmp_path / "folder", "a.mp4")
    make(tmp_path, "file.mp4")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # relative paths: who may enter the folders above does not count
    for name in ("folder", "file.mp4"):
        (tmp_path / name).chmod(0)
    yield tmp_path
    (tmp_path / "folder").chmod(0o755)


@pytest.mark.parametrize("name", ["folder", "file.mp4", "folder/a.mp4"])
@pytest.mark.usefixtures("closed")
def test_what_may_not_be_read_is_named(name: str) -> None:
    with somebody_else(), pytest.raises(SourceError, match=f"{name}: .*cannot be read: Permission denied"):
        find([name])


@pytest.mark.usefixtures("closed")
def test_a_glob_into_a_closed_folder_finds_nothing() -> None:
    with somebody_else(), pytest.raises(SourceError, match=r"folder/\*\.mp4: no file matches"):
        find(["folder/*.mp4"])
