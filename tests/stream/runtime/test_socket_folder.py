"""A run's folder is its own, and what a killed run left behind goes with the next one's start."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

from stream.runtime.folder import SocketFolder

HOLDS = (
    "from stream.runtime.folder import SocketFolder; import signal; folder = SocketFolder();"
    "print(folder.path, flush=True); signal.pause()"
)


def test_it_is_for_its_owner_alone_and_goes_with_all_that_is_in_it() -> None:
    folder = SocketFolder()
    (folder.path / "socket").touch()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    folder.remove()
    assert not folder.path.exists()


def test_the_folder_of_a_killed_run_is_removed_and_that_of_a_running_one_is_not() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        path = other.stdout.readline().strip()
        SocketFolder().remove()
        assert os.path.isdir(path)
        other.send_signal(signal.SIGKILL)
    SocketFolder().remove()
    assert not os.path.exists(path)
