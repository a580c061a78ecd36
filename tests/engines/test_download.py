"""Weights come whole or not at all, from a real server on this machine."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engines import download, zoo
from engines.download import fetch
from engines.errors import EngineError

ROOT = Path(__file__).parents[2]
BODY = bytes(range(256)) * 20_000  # 5 MB: several pieces
HALF = len(BODY) // 2


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSESTREAM_OFFLINE")  # no other test may ask a network for anything


@dataclass
class Place:
    """What the server does, and what it was asked."""

    body: bytes = BODY
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """Of each answer to come, after how many bytes the connection ends; then none."""
    status: int = 200
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
            self.send_response(place.status)
            self.send_header("Location", place.location)
            self.end_headers()
        elif begin >= len(place.body):
            self.send_error(416)
        else:
            self._send(begin, len(place.body))

    def _send(self, begin: int, end: int) -> None:
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        cut = self.place.cuts.pop(0) if self.place.cuts else end
        self.wfile.write(self.place.body[begin : begin + cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    place.may_go.set()
    handler = type("Handler", (_Handler,), {"place": place})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        place.url = f"http://127.0.0.1:{server.server_port}/models/weights-abc.pth"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield place
        server.shutdown()
        thread.join()


def quiet(done: int, total: int | None) -> None:
    pass


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_is_fetched_once(place: Place, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    for _ in range(2):
        path = fetch(place.entry(), tmp_path / "deep" / "weights", lambda *said: seen.append(said))
        assert path.read_bytes() == BODY
    assert place.asked == [""]
    assert seen[0] == (0, len(BODY))
    assert seen == sorted(set(seen))
    assert [said for said in seen if said[0] == said[1]] == [(len(BODY), len(BODY))]
    assert parts(path.parent) == ["weights-abc.pth"]


def test_a_download_that_was_cut_goes_on_where_it_ended(place: Place, tmp_path: Path) -> None:
    place.cuts = [HALF, 1000]
    seen: list[int] = []
    path = fetch(place.entry(), tmp_path, lambda done, _: seen.append(done))
    assert path.read_bytes() == BODY
    assert place.asked == ["", f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert seen == sorted(seen)


def test_the_next_run_goes_on_where_the_last_one_ended(place: Place, tmp_path: Path) -> None:
    place.cuts = [HALF, 0]
    wanted = rf"{HALF} of {len(BODY)} bytes; download it by other means to {tmp_path}/weights-abc.pth$"
    with pytest.raises(EngineError, match=wanted):
        fetch(place.entry(), tmp_path, quiet)
    assert parts(tmp_path) == ["weights-abc.pth.part"]
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked[-1] == f"bytes={HALF}-"
    assert parts(tmp_path) == ["weights-abc.pth"]


def test_a_server_without_ranges_sends_all_of_it_again(place: Place, tmp_path: Path) -> None:
    place.ranges = False
    (tmp_path / "weights-abc.pth.part").write_bytes(BODY[:HALF])
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked == [f"bytes={HALF}-"]


@pytest.mark.parametrize("bad", [b"x" * HALF, b"x" * (len(BODY) + 7)], ids=["shorter", "longer"])
def test_a_bad_beginning_is_thrown_away(bad: bytes, place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights-abc.pth.part").write_bytes(bad)
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked == [f"bytes={len(bad)}-", ""]


def test_what_was_received_but_not_named_is_not_received_again(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights-abc.pth.part").write_bytes(BODY)
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert parts(tmp_path) == ["weights-abc.pth"]


def test_another_file_is_not_kept(place: Place, tmp_path: Path) -> None:
    place.body = b"another file"
    found, wanted = hashlib.sha256(place.body).hexdigest(), hashlib.sha256(BODY).hexdigest()
    with pytest.raises(EngineError, match=f"the sha256 of what came begins {found}, not {wanted}; download it by"):
        fetch(place.entry(), tmp_path, quiet)
    assert parts(tmp_path) == []


def test_a_file_put_there_by_hand_is_checked_used_and_never_removed(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "weights-abc.pth"
    path.write_bytes(BODY)
    assert fetch(place.entry(), tmp_path, quiet) == path
    path.write_bytes(b"another file")
    with pytest.raises(EngineError, match=rf"weights file {path} is not coco_v1: its sha256 begins .*; remove it"):
        fetch(place.entry(), tmp_path, quiet)
    assert path.read_bytes() == b"another file"
    assert place.asked == []


@pytest.mark.parametrize(
    ("status", "location", "reason"),
    [
        (404, "", "the server says 404 Not Found"),
        (503, "", "the server says 503 Service Unavailable"),
        (302, "http://example.org/a", "it leads to http://example.org/a, which is no https address"),
        (302, "ftp://127.0.0.1/a", "it leads to ftp://127.0.0.1/a, which is no https address"),
    ],
)
def test_a_refusal_says_where_the_file_may_be_put(
    status: int, location: str, reason: str, place: Place, tmp_path: Path
) -> None:
    place.status, place.location = status, location
    with pytest.raises(EngineError) as told:
        fetch(place.entry(), tmp_path, quiet)
    assert str(told.value) == (
        f"weights coco_v1 cannot be downloaded from {place.url}: {reason}; "
        f"download it by other means to {tmp_path}/weights-abc.pth"
    )
    assert len(place.asked) == 1


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    entry = replace(zoo.COCO_V1, url=f"http://127.0.0.1:{port}/weights.pth")
    with pytest.raises(EngineError, match=rf"{port}/weights.pth: Connection refused; download it by other means to"):
        fetch(entry, tmp_path, quiet)


def test_a_server_that_stays_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as held:  # the system takes the call, and nobody answers
        entry = replace(zoo.COCO_V1, url=f"http://127.0.0.1:{held.getsockname()[1]}/weights.pth")
        with pytest.raises(EngineError, match=r"/weights.pth: no answer for 1 s; download it by other means to"):
            fetch(entry, tmp_path, quiet)


@pytest.mark.parametrize(
    "url", ["http://example.org/a.pth", "file:///etc/hostname", "ftp://127.0.0.1/a.pth", "http://127.0.0.1.org/a.pth"]
)
def test_only_https_is_trusted(url: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"from {url}: it is no https address"):
        fetch(replace(zoo.COCO_V1, url=url), tmp_path, quiet)


def test_offline_means_that_nobody_is_asked(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSESTREAM_OFFLINE", "1")
    with pytest.raises(EngineError, match=r": POSESTREAM_OFFLINE is set; download it by other means to"):
        fetch(place.entry(), tmp_path, quiet)
    assert place.asked == []
    monkeypatch.setenv("POSESTREAM_OFFLINE", "0")
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY


def test_a_folder_that_cannot_be_made_is_told(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(EngineError, match=r": File exists; download it by other means to"):
        fetch(place.entry(), tmp_path / "weights", quiet)


IN_A_PROCESS = """
import sys
from dataclasses import replace
from pathlib import Path
from engines import download, zoo
entry = replace(zoo.COCO_V1, url=sys.argv[1], digest=sys.argv[2])
print("asks", flush=True)
print(download.fetch(entry, Path(sys.argv[3]), lambda done, total: None))
"""


def test_processes_that_ask_at_once_receive_it_once(place: Place, tmp_path: Path) -> None:
    place.may_go.clear()
    command = [sys.executable, "-c", IN_A_PROCESS, place.url, place.entry().digest, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as second,
    ):
        assert first.stdout
        assert second.stdout
        assert [first.stdout.readline(), second.stdout.readline()] == ["asks\n"] * 2
        assert place.came.wait(20)
        place.may_go.set()
        assert {first.communicate(timeout=20)[0], second.communicate(timeout=20)[0]} == {
            f"{tmp_path}/weights-abc.pth\n"
        }
    assert (tmp_path / "weights-abc.pth").read_bytes() == BODY
    assert place.asked == [""]


def test_threads_that_ask_at_once_receive_it_once(place: Place, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(place.entry(), tmp_path, quiet), range(4)))
    assert paths == [tmp_path / "weights-abc.pth"] * 4
    assert place.asked == [""]


def test_who_waits_for_another_s_download_is_told_how_far_that_is(place: Place, tmp_path: Path) -> None:
    place.may_go.clear()
    told: list[tuple[int, int | None]] = []
    waits = threading.Event()

    def tell(done: int, total: int | None) -> None:
        told.append((done, total))
        waits.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, place.entry(), tmp_path, quiet)
        assert place.came.wait(20)
        second = pool.submit(fetch, place.entry(), tmp_path, tell)
        assert waits.wait(20)
        place.may_go.set()
        assert first.result() == second.result()
    assert told == [(0, None)]
