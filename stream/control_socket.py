"""The socket by which a run that goes on is asked and told: one line of JSON each way, in the run's own folder."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from configs.errors import SourceError
from stream.changes import Pause, Remove, Resume
from stream.live_rows import LiveFigures

_NAME = "commands"
_LINE_BYTES_MAX = 1 << 20
_READ_S = 5.0


class List(Struct, frozen=True, tag=True):
    """Tell how the live sources are."""


class Open(Struct, frozen=True, tag=True):
    """Read one more source, or those of a list."""

    source: str
    """As `--source` takes it, or NAME=SOURCE; paths from the root. It may hold a password."""


Request = List | Open | Remove | Pause | Resume


class Reply(Struct, frozen=True):
    """What the run answers."""

    exit_code: int = 0
    text: str = ""
    """For people; of an error what is wrong and what to do."""
    sources: list[LiveFigures] = []
    pid: int = 0
    """Of the run."""


class ControlSocket:
    """Answers requests, each in a thread of its own. The folder's mode keeps other users out."""

    def __init__(self, folder: Path, answer: Callable[[Request], Reply]) -> None:
        """Listen in a run's folder.

        Args:
            folder: of mode 0700.
            answer: called from several threads at once.
        """
        self._server = _Server(str(folder / _NAME), answer)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more; requests that are under way are left to their threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        super().__init__(path, _Handler)

    def handle_error(self, *_: object) -> None:
        """Nobody is told: who asked has gone, or has sent what is no request."""


class _Handler(socketserver.StreamRequestHandler):
    timeout = _READ_S
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline(_LINE_BYTES_MAX)
        reply = self.server.answer(msgspec.json.decode(line, type=Request))
        self.wfile.write(msgspec.json.encode(reply) + b"\n")


def ask(folder: Path, request: Request, timeout_s: float) -> Reply:
    """What a run answers.

    Raises:
        SourceError: there is no run, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked, suppress(OSError, msgspec.MsgspecError):
        asked.settimeout(timeout_s)
        asked.connect(str(folder / _NAME))
        asked.sendall(msgspec.json.encode(request) + b"\n")
        with asked.makefile("rb") as file:
            return msgspec.json.decode(file.readline(_LINE_BYTES_MAX), type=Reply)
    raise SourceError(f"the run in {folder} does not answer; it has ended, or has no live source")


def listens(folder: Path) -> bool:
    """Whether the run of a folder can be asked."""
    return (folder / _NAME).is_socket()
