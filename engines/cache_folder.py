"""The folder for what can be made again: nothing is lost when it is deleted."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from configs.errors import EngineError


def folder() -> Path:
    """Path of the folder, which need not exist yet: posestream in XDG_CACHE_HOME, else in ~/.cache.

    Without a home directory (an unknown user in a container) it lies in the temporary folder.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/; a path that is not absolute is to be ignored.

    Raises:
        EngineError: there is no home, and the temporary folder cannot be made or is not this user's alone.
    """
    wanted = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if wanted.is_absolute():
        return wanted / "posestream"
    try:
        return Path("~/.cache/posestream").expanduser()
    except RuntimeError:
        return _temporary()


def _temporary() -> Path:
    # Its name can be foreseen: others must not be able to put there what is loaded later.
    me = os.getuid()
    try:
        path = Path(tempfile.gettempdir()) / f"posestream-{me}"
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise _no_folder(f"the temporary one cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != me or found.st_mode & 0o022:
        raise _no_folder(f"others can write to {path}")
    return path


def _no_folder(why: str) -> EngineError:
    return EngineError(
        f"there is no home folder to keep files in, and {why}; set XDG_CACHE_HOME to a folder of your own"
    )
