"""What every test gets: a quiet machine to run on, and a check that nothing is left behind."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

# Two workers of pytest share two cores: thread pools that spin would cost more than they give. Children inherit it;
# it counts if it is set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts what is put in the background with Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says something of the machine alone.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def _left() -> dict[str, set[str]]:
    me = psutil.Process()
    fds = {}
    for fd in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            fds[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:  # the listing's own descriptor
            continue
    return {
        "processes": {f"{child.pid}" for child in me.children(recursive=True)},
        "socket folders": {str(path) for path in Path(tempfile.gettempdir()).glob("posestream-*")},
        "frame memory": {f"{fd} {name}" for fd, name in fds.items() if "posestream-frames" in name},
        "shared memory": {str(path) for path in Path("/dev/shm").glob("*")} if os.path.isdir("/dev/shm") else set(),
    }


@pytest.fixture(scope="session", autouse=True)
def _temporary_files_of_our_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Another run on the same machine must not look like something left behind, and finds nothing of ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("POSESTREAM_OFFLINE", "1")
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(autouse=True)
def _nothing_is_left(_temporary_files_of_our_own: None) -> Iterator[None]:
    before = _left()
    yield
    if _new(before):
        gc.collect()  # not after each test: with torch loaded it takes half a second
    for what, names in _new(before).items():
        raise AssertionError(f"{what} left behind: {sorted(names)}")


def _new(before: dict[str, set[str]]) -> dict[str, set[str]]:
    return {what: names - before[what] for what, names in _left().items() if not names <= before[what]}
