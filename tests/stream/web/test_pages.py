"""What a browser gets: a real server, and real sockets."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from web_made import HEIGHT, WAIT_S, WIDTH, begin, get, get_json, put, run_figures, source_figures, tracks, web
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

import stream.web
from stream.messages import End, Status
from stream.sinks.web import Web
from stream.web import pages

STATIC = Path(stream.web.__file__).parent / "static"


def view(port: int, source: str = "cam", what: str = "view") -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/api/{what}?source={source}", open_timeout=WAIT_S, close_timeout=WAIT_S)


def shown(sink: Web, port: int, first: int, wanted: int = 1) -> int:
    """Let frames through until so many viewers have got one; the index of the last frame."""
    while True:
        put(sink, tracks(first))
        if get_json(port, "/api/sources")["looking"] >= wanted:
            return first
        first += 1


def taken(socket: ClientConnection, sink: Web, index: int, want: str = "picture") -> tuple[Any, bytes, int]:
    """Ask for a frame while frames go by: its record, its JPEG, and the index of the next frame to go by."""
    socket.send(want)
    while True:
        put(sink, tracks(index))
        index += 1
        try:
            data = socket.recv(0.02)
        except TimeoutError:
            continue
        assert isinstance(data, bytes)
        length = int.from_bytes(data[:4])
        return json.loads(data[4 : 4 + length]), data[4 + length :], index


def grey_of(jpeg: bytes) -> float:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    return float(picture.mean())


def test_a_slow_viewer_gets_a_newer_frame_not_the_ones_it_missed() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port) as slow:
            record, jpeg, index = taken(slow, sink, 0)
            assert grey_of(jpeg) == pytest.approx(record["index"], abs=2)
            for missed in range(index, index + 50):
                put(sink, tracks(missed))
            with pytest.raises(TimeoutError):
                slow.recv(0.2)  # nothing comes unasked
            record, jpeg, _ = taken(slow, sink, index + 50)
            assert record["index"] >= index + 50
            assert grey_of(jpeg) == pytest.approx(record["index"] % 256, abs=2)


def test_who_wants_no_picture_gets_none() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port) as thin:
            record, jpeg, _ = taken(thin, sink, 5, "record")
            assert jpeg == b""
            assert record["people"][0]["id"] == 1
            assert (record["width"], record["height"]) == (WIDTH, HEIGHT)


def test_a_plain_picture_has_the_people_drawn_on_it() -> None:
    with web() as (sink, port):
        put(sink, begin("a/b c"))
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
            plain.sendall(b"GET /stream/a%2Fb%20c.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            shown_jpegs = list[bytes]()
            data, index, boundary = b"", 0, b"--posestream-frame\r\n"
            plain.settimeout(0.02)
            while len(shown_jpegs) < 2:
                put(sink, tracks(index, "a/b c"))
                index += 1
                try:
                    data += plain.recv(1 << 20)
                except TimeoutError:
                    continue
                parts = re.findall(rb"Content-Length: (\d+)\r\n\r\n(\xff\xd8.*?\xff\xd9)\r\n", data, re.DOTALL)
                shown_jpegs = [jpeg for length, jpeg in parts if len(jpeg) == int(length)]
    head = data.partition(b"\r\n\r\n")[0]
    assert b"multipart/x-mixed-replace; boundary=posestream-frame" in head
    assert boundary in data
    picture = cv2.imdecode(np.frombuffer(shown_jpegs[1], np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert np.ptp(picture, axis=2).max() > 60, "the picture is grey; what is drawn on it is not"


def test_every_record_goes_to_who_reads_them() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port, what="keypoints") as reader:
            index = shown(sink, port, 0)
            for more in range(index + 1, index + 30):
                put(sink, tracks(more))
            put(sink, End("cam", 30))
            got = [json.loads(record) for record in reader]  # until the server closes
    indices = [record["index"] for record in got]
    assert indices[-29:] == list(range(index + 1, index + 30))
    assert got[-1]["schema"] == "keypoints.v1"


def test_who_asks_for_nothing_is_told_of_the_end_too() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port) as paused:
            put(sink, End("cam", 0))
            assert list(paused) == []


def test_a_source_that_is_not_open_is_not_found() -> None:
    with web() as (sink, port):
        assert get(port, "/stream/cam.mjpg")[0] == 404
        with pytest.raises(InvalidStatus, match="404"):
            view(port)
        put(sink, Status("cam", "starting"))
        with view(port):  # a camera that does not give frames yet
            pass
        put(sink, End("cam", 0))
        assert get(port, "/stream/cam.mjpg")[0] == 404


def test_who_leaves_is_noticed_though_no_frame_comes() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port) as one, view(port, what="keypoints"):
            one.send("picture")
            assert get_json(port, "/api/sources")["looking"] == 2
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as plain:
            plain.sendall(b"GET /stream/cam.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert plain.recv(100).startswith(b"HTTP/1.1 200")
        while get_json(port, "/api/sources")["looking"]:
            pass
        put(sink, tracks(0, picture=False))  # nobody is left who would want its picture


def test_more_than_can_be_served_are_told_so() -> None:
    with web() as (sink, port), ExitStack() as stack:
        put(sink, begin())
        for _ in range(64):
            stack.enter_context(view(port))
        assert get(port, "/stream/cam.mjpg")[0] == 503
        with pytest.raises(InvalidStatus, match="503"):
            view(port)
        assert get(port, "/api/sources")[0] == 200


def test_more_connections_than_can_be_served_are_told_so() -> None:
    with web() as (_, port), ExitStack() as stack:
        for _ in range(256):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert get(port, "/")[0] == 503


def test_a_reader_that_is_stopped_loses_records_and_keeps_none_waiting() -> None:
    count = 3000
    with web() as (sink, port), socket.socket() as stopped:
        put(sink, begin())
        stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        stopped.settimeout(WAIT_S)
        stopped.connect(("127.0.0.1", port))
        stopped.sendall(
            b"GET /api/keypoints?source=cam HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        index = shown(sink, port, 0)
        for more in range(index + 1, count):
            put(sink, tracks(more))
            if more % 50 == 0:
                get(port, "/healthz")  # so the server's thread has had its turn
        put(sink, End("cam", count))
        data = b""
        while f'"index":{count - 1},'.encode() not in data:
            data += stopped.recv(1 << 20)
    indices = [int(found) for found in re.findall(rb'"index":(\d+)', data)]
    assert indices == sorted(set(indices))
    assert indices[-63:] == list(range(count - 63, count))
    assert len(indices) < count - 500, "they have all waited somewhere"


def test_a_long_word_ends_the_connection() -> None:
    with web() as (sink, port):
        put(sink, begin())
        with view(port) as loud:
            loud.send("x" * 1000)
            with pytest.raises(Exception, match="1009"):
                loud.recv(WAIT_S)


def test_a_run_is_ready_when_its_models_are_loaded_and_a_source_gives_frames() -> None:
    def ready(sink: Web, state: str, **groups: Any) -> tuple[int, bytes]:
        sink.figures(run_figures(source_figures(state=state), source_figures("b", state="failed"), groups=groups))
        status, _, body = get(port, "/readyz")
        return status, body

    with web() as (sink, port):
        assert get(port, "/readyz")[0] == 503
        assert get(port, "/healthz")[::2] == (200, b"ok\n")
        assert ready(sink, "ok", infer="loading", web="ready") == (503, b"not ready: infer\n")
        assert ready(sink, "reconnecting", infer="ready") == (503, b"no source gives frames\n")
        assert ready(sink, "ok", infer="ready") == (200, b"ready\n")


def test_the_page_has_no_script_or_style_within_and_asks_nobody_else() -> None:
    class Page(HTMLParser):
        addresses: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            given = dict(attributes)
            assert tag not in ("style", "iframe", "form")
            assert tag != "script" or "src" in given
            assert not [name for name in given if name.startswith("on") or name == "style"]
            self.addresses += [value or "" for name, value in attributes if name in ("src", "href")]

    page = Page()
    page.feed((STATIC / "index.html").read_text())
    assert page.addresses
    assert all(f"{STATIC}{address}" in map(str, STATIC.iterdir()) for address in page.addresses)
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", text), (
            path
        )
        assert path.name in pages._FILES, f"{path.name} would not be served"
