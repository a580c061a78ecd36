"""Web servers of numbered pictures: an endless MJPEG stream, and the files of a folder."""

from __future__ import annotations

import base64
import contextlib
import functools
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import cv2

from tests.media import numbered

BOUNDARY = b"--frame\r\n"


class MjpegServer(ThreadingHTTPServer):
    """Serves /live, at about 50 frames a second unless told otherwise; numbers go on over all connections."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Mjpeg)
        self.number = 0
        self.size = (128, 96)
        self.period_s = 0.02
        self.still: bytes = b""
        """A JPEG that is sent instead of numbered pictures."""
        self.sent_s: list[float] = []
        """When each picture was made, by the wall clock."""
        self.user = ""
        """As user:password; empty: anybody."""
        self.hangs = self.cuts = self.spoils = False
        """It says nothing any more; it ends each connection; each 10th picture is broken."""
        self.ended = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/live"


class _Mjpeg(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        server = self.server
        wanted = f"Basic {base64.b64encode(server.user.encode()).decode()}"
        if server.user and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        elif self.path.partition("?")[0] != "/live":
            self.send_error(404)
        else:
            with contextlib.suppress(OSError):
                self._stream()

    def _stream(self) -> None:
        server = self.server
        while server.hangs and not server.ended.wait(0.02):
            pass
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        server.cuts = False
        due_s = time.monotonic()
        while not server.ended.wait(max(due_s - time.monotonic(), 0.0)) and not server.cuts:
            due_s = max(due_s, time.monotonic() - server.period_s) + server.period_s
            if server.hangs:
                continue
            server.sent_s.append(time.time())
            picture = numbered(server.number % 256, *server.size)
            jpeg = server.still or cv2.imencode(".jpg", picture)[1].tobytes()
            if server.spoils and server.number % 10 == 9:
                jpeg = jpeg[: len(jpeg) // 2]
            server.number += 1
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            self.wfile.write(BOUNDARY + head + jpeg + b"\r\n")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def mjpeg_server(port: int = 0) -> Iterator[MjpegServer]:
    server = MjpegServer(port)
    with _running(server):
        yield server


@contextlib.contextmanager
def folder_server(folder: Path) -> Iterator[str]:
    """The address at which the folder's files are."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    server.daemon_threads = True
    with _running(server):
        yield f"http://127.0.0.1:{server.server_port}"


@contextlib.contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if isinstance(server, MjpegServer):
            server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
