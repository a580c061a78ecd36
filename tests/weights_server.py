"""A server of weights on this machine, which does what a test wants of it."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from engines.weights import zoo

BODY = bytes(range(256)) * 20_000  # 5 MB: several pieces
HALF = len(BODY) // 2


@dataclass
class Place:
    """What the server does, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """Of each answer to come, after how many bytes the connection ends; then none."""
    stalls: bool = False
    """It does not end then, but falls silent."""
    shift: int = 0
    """By how much a part begins elsewhere than where it should."""
    length: str = ""
    """What is said of the length, where that is not right."""
    status: int = 200
    words: str | None = None
    """What is said with the status; None: the usual."""
    location: str = ""
    asked: list[str] = field(default_factory=list)
    """The Range of each request."""
    url: str = ""
    came: threading.Event = field(default_factory=threading.Event)
    """Somebody has asked."""
    may_go: threading.Event = field(default_factory=threading.Event)
    """Until then nobody gets an answer."""

    def entry(self) -> zoo.Entry:
        return replace(zoo.COCO_V1, url=self.url, digest=hashlib.sha256(BODY).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    place: Place

    def do_GET(self) -> None:
        place, wanted = self.place, self.headers.get("Range", "")
        place.asked.append(wanted)
        place.came.set()
        assert place.may_go.wait(20)
        begin = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and place.ranges else 0
        if place.status != 200:
            self.send_response(place.status, place.words)
            self.send_header("Location", place.location)
            self.end_headers()
        elif begin >= len(place.body):
            self.send_error(416)
        else:
            self._send(begin, len(place.body))

    def _send(self, begin: int, end: int) -> None:
        place = self.place
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin + place.shift}-{end - 1}/{end}")
        self.send_header("Content-Length", place.length or str(end - begin))
        self.end_headers()
        cut = place.cuts.pop(0) if place.cuts else end
        self.wfile.write(place.body[begin : begin + cut])
        if begin + cut < end and place.stalls:
            self.rfile.read(1)  # until the other side has gone

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Place]:
    place = Place()
    place.may_go.set()
    handler = type("Handler", (_Handler,), {"place": place})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        place.url = f"http://127.0.0.1:{server.server_port}/models/weights-abc.pth"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield place
        finally:
            server.shutdown()
            thread.join()
    gc.collect(1)  # warns of a connection that was left open


def quiet(done: int, total: int | None) -> None:
    pass
