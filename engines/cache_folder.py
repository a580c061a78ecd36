"""The folder for what can be made again: nothing is lost when it is deleted."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """Give the folder, which need not exist yet: posestream in XDG_CACHE_HOME, else in ~/.cache.

    Source: https://specifications.freedesktop.org/basedir-spec/latest/; a path that is not absolute is to be ignored.
    """
    wanted = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (wanted if wanted.is_absolute() else Path("~/.cache").expanduser()) / "posestream"
