"""Web sinks, and what goes through them, for the tests of the page."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from configs.schema import WebSettings
from configs.video import RenderSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO
from stream.figures import RunFigures, SourceFigures
from stream.messages import Begin, Frame, Pixels, SourceSpec, Tracks
from stream.sinks.web import Web

WAIT_S = 20.0
WIDTH, HEIGHT = 320, 180


def begin(source: str = "cam", live: bool = True, **changes: Any) -> Begin:
    return Begin(SourceSpec(source, "file", f"{source}.mp4"), WIDTH, HEIGHT, 30.0, live=live, **changes)


def tracks(index: int, source: str = "cam", picture: bool = True, age_ms: float = 40.0, **changes: Any) -> Tracks:
    """One person, who walks two pixels a frame; the picture's grey is the frame's index. Without it nobody may look."""
    left = 20.0 + 2 * index % 200
    across, down = np.linspace(left, left + 40, 17), np.linspace(40, 160, 17)
    keypoints = np.stack([across, down], 1)[None].astype(np.float32)
    box = np.array([[left, 30, left + 40, 170]], np.float32)
    ones = np.full((1, 17), 0.9, np.float32)
    pixels = Pixels(np.full((HEIGHT, WIDTH, 3), index % 256, np.uint8)) if picture else None
    times = {"track": int(1e9 + age_ms * 1e6)}
    frame = Frame(source, 0, index, index * 33_000_000, 10**9, 2, WIDTH, HEIGHT, pixels, times_ns=times, **changes)
    return Tracks(frame, People(box, np.array([0.9], np.float32), keypoints, ones, ones), np.array([1]), keypoints)


def source_figures(name: str = "cam", **changes: Any) -> SourceFigures:
    plain: dict[str, Any] = {
        "label": f"{name}.mp4",
        "live": True,
        "state": "ok",
        "reason": "",
        "frames": 7,
        "people": 9,
    }
    return SourceFigures(name=name, **{**plain, "dropped": {}, "expected": None, "seconds": 3.0, **changes})


def run_figures(*sources: SourceFigures, **changes: Any) -> RunFigures:
    plain: dict[str, Any] = {"stages": {}, "groups": {"infer": "ready"}, "held": {}, "memory_bytes": {}, "restarts": 0}
    totals = {"sources_total": len(sources), "sources_ended": 0, "seconds": 5.0}
    return RunFigures(list(sources), **{**plain, **totals, **changes})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web(**settings: Any) -> Iterator[tuple[Web, int]]:
    """A web sink and its port."""
    port = free_port()
    sink = Web(WebSettings(**{"address": f"127.0.0.1:{port}", **settings}), RenderSettings(), COCO)
    try:
        yield sink, port
    finally:
        sink.close()


def put(sink: Web, *messages: Any) -> None:
    """Let messages through; all come out as they went in."""
    for message in messages:
        assert list(sink.process(message)) == [message]


def ask(port: int, question: bytes) -> bytes:
    """All that comes back for raw bytes, until the server closes the connection or speaks WebSocket."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.sendall(question)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
            if answer.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in answer:
                break
        return answer


def get(port: int, path: str, verb: str = "GET", host: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a request."""
    lines = [f"{verb} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head, _, body = ask(port, "\r\n".join([*lines, "", ""]).encode("latin-1")).partition(b"\r\n\r\n")
    status, *rest = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in rest), body


def get_json(port: int, path: str) -> Any:
    status, _, body = get(port, path)
    assert status == 200, body
    return json.loads(body)
