"""Starting tests/rtsp_server.py, and reading it."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from stream.sources.find import find
from tests.watched import Watched, watched

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).with_name("rtsp_server.py")
RECORDER = Path(__file__).with_name("rtsp_recorder.py")
NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def installed() -> bool:
    """Whether Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi are there."""
    return os.path.exists(PYTHON) and not subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode


class Server:
    """An RTSP server as a process of its own, at an address that it keeps."""

    def __init__(self, *options: str, script: Path = SERVER) -> None:
        self._script = script
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start(*options)

    def start(self, *options: str) -> None:
        command = [PYTHON, str(self._script), str(self.port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def watched(self, path: str = "live", user: str = "", **live: Any) -> AbstractContextManager[Watched]:
        return watched(*find([f"rtsp://{user}127.0.0.1:{self.port}/{path}"]), **live)
