"""Where the cache is, also for who has no home; and that nobody else can write to it there."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.errors import EngineError
from engines import cache_folder


def nobody_knows(uid: int) -> pwd.struct_passwd:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one for a user without a home, not made yet."""
    for variable in ("XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody_knows)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"posestream-{os.getuid()}"


def test_it_is_where_the_standard_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, home = tmp_path / "data", tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for given, folder in {str(data): data, "": home / ".cache", "relative": home / ".cache"}.items():
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder.folder() == folder / "posestream"


def test_who_has_no_home_gets_a_folder_of_his_own(place: Path) -> None:
    before = os.umask(0)
    try:
        assert [cache_folder.folder(), cache_folder.folder()] == [place, place]
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def elsewhere(place: Path) -> None:
    (place.parent / "other").mkdir(mode=0o700)
    place.symlink_to(place.parent / "other")


@pytest.mark.parametrize("make", [open_to_all, elsewhere])
def test_a_folder_that_others_can_write_to_is_refused(make: Callable[[Path], None], place: Path) -> None:
    make(place)
    wanted = f"^there is no home folder to keep files in, and others can write to {place}; set XDG_CACHE_HOME to a"
    with pytest.raises(EngineError, match=wanted):
        cache_folder.folder()


def test_somebody_else_s_folder_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)  # who meets the folder that this user makes
    with pytest.raises(EngineError, match=f"others can write to {place.parent}/posestream-{other}; set XDG_CACHE_HOME"):
        cache_folder.folder()


def test_a_folder_that_cannot_be_made_is_told(place: Path) -> None:
    place.write_text("a file")
    with pytest.raises(
        EngineError, match=r", and the temporary one cannot be made: File exists; set XDG_CACHE_HOME to"
    ):
        cache_folder.folder()
