"""The folder in which a run's sockets lie, for as long as the run lasts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "posestream-"
_PATH_BYTES_MAX = 60  # a socket's whole path has at most 107 bytes, on macOS 103


class SocketFolder:
    """A folder of this run's own, mode 0700, with a lock that the system lifts however the run ends."""

    def __init__(self) -> None:
        """Make it; what runs that were killed have left behind is removed first."""
        parent = _parent()
        _clean(parent)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = os.open(self.path / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove it with all that lies in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def running() -> list[Path]:
    """Folders of this user's runs that go on, by name."""
    return sorted(folder for folder in _parent().glob(f"{_PREFIX}*") if _is_held(folder))


def named(run: str) -> Path:
    """The folder of a run: its path, its name or the name's end."""
    if os.sep in run:
        return Path(run)
    return _parent() / (run if run.startswith(_PREFIX) else _PREFIX + run)


def name_of(folder: Path) -> str:
    """What `named` finds it by."""
    return folder.name.removeprefix(_PREFIX)


def _is_held(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # somebody else's, or just being made
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _parent() -> Path:
    """The folder for temporary files, unless its path is too long for a socket's."""
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= _PATH_BYTES_MAX else Path("/tmp")


def _clean(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # somebody else's, or just being made
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # its run goes on
            pass
        finally:
            os.close(lock)
