"""Cameras and addresses for Python: the newest frame counts, and leaving the loop leaves nothing behind."""

from __future__ import annotations

import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from media import numbered, write_video

from configs.errors import SourceError
from stream.api import Problem, tracks
from stream.records import Record
from tests.http_media import MjpegServer

QUICK: dict[str, Any] = {"model": "lite", "backend": "eager", "imgsz": 64, "proposals": 10, "infer_max_age_s": 60}
LIVE: dict[str, Any] = {"live_retry_s": 0.1, "live_retry_max_s": 0.2, "live_connect_timeout_s": 2}


@pytest.fixture
def camera() -> Iterator[MjpegServer]:
    server = MjpegServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.ended.set()
    server.shutdown()
    server.server_close()
    thread.join()


def mine() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name in ("source", "connection", "recordings")}


def connections(port: int) -> int:
    """Connections of this process to a port of its own server."""
    to = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]
    return len([each for each in to if each.status == psutil.CONN_ESTABLISHED])


def gone(port: int) -> bool:
    end_s = time.monotonic() + 5
    while (mine() or connections(port)) and time.monotonic() < end_s:
        threading.Event().wait(0.02)
    return not mine() and not connections(port)


def test_who_is_slow_gets_the_newest_frame_and_learns_what_was_missed(camera: MjpegServer) -> None:
    got: list[Record] = []
    with closing(tracks(camera.url, **QUICK, **LIVE)) as records:
        for record in itertools.islice(records, 6):
            got.append(record)
            number = camera.number
            while camera.number < number + 10:  # ten more are shown meanwhile
                threading.Event().wait(0.01)
    assert all(late.index - early.index == late.dropped + 1 for early, late in itertools.pairwise(got))
    assert sum(record.dropped for record in got[2:]) >= 4 * 8
    assert all(isinstance(record.age_ms, float) and record.age_ms < 2_000 for record in got[2:])
    assert isinstance(got[-1].dropped_by, dict)
    assert list(got[-1].stages_ms or ()) == ["decode", "infer", "nms", "track"]  # type: ignore[arg-type]


def test_leaving_the_loop_ends_threads_and_connections(camera: MjpegServer) -> None:
    records = tracks(camera.url, **QUICK, **LIVE)
    next(records)
    assert mine() == {"source", "connection"}
    assert connections(camera.server_port) == 1
    records.close()  # type: ignore[attr-defined]
    assert gone(camera.server_port)
    for _ in tracks(camera.url, **QUICK, **LIVE):
        break
    assert gone(camera.server_port)
    unstarted = tracks(camera.url, **QUICK, **LIVE)
    unstarted.close()  # type: ignore[attr-defined]
    assert gone(camera.server_port)


def test_several_sources_come_side_by_side_and_a_broken_one_comes_back(camera: MjpegServer, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(at) for at in range(5)])
    epochs: dict[str, set[int]] = {}
    with closing(tracks([camera.url, clip], realtime=True, **QUICK, **LIVE)) as records:
        for count, record in enumerate(records):
            epochs.setdefault(record.source, set()).add(record.epoch)
            camera.cuts = record.source == "127.0.0.1"  # the connection is ended
            if len(epochs) == 2 and len(epochs["127.0.0.1"]) >= 2:
                break
            assert count < 500, epochs
    assert epochs["clip"] == {0}
    assert gone(camera.server_port)


def test_it_runs_in_a_thread_and_leaves_signals_alone(camera: MjpegServer) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    got: list[Record] = []
    failed: list[BaseException] = []
    halt = threading.Event()

    def watch() -> None:
        try:
            for record in tracks(camera.url, stop=halt.is_set, **QUICK, **LIVE):
                got.append(record)
                if len(got) == 3:
                    halt.set()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert not failed
    assert 3 <= len(got) <= 5
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert gone(camera.server_port)


def test_a_camera_that_never_answers_can_be_stopped_and_given_up() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # bound, and nobody listens
        halt = threading.Event()
        threading.Timer(0.5, halt.set).start()
        assert list(tracks(f"http://127.0.0.1:{port}/live", stop=halt.is_set, **QUICK, **LIVE)) == []
        with pytest.raises(SourceError, match="given up after 2 attempts"):
            list(tracks(f"http://127.0.0.1:{port}/live", reconnect_limit=1, **QUICK, **LIVE))
        problems: list[Problem] = []
        assert not list(tracks(f"http://127.0.0.1:{port}/x", None, problems.append, reconnect_limit=0, **QUICK, **LIVE))
    assert [problem.unusable for problem in problems] == [True]


def test_messages_of_a_run_are_tracked_without_a_network(tmp_path: Path) -> None:
    from tests.stream.test_dump import dumped, run

    dumped(tmp_path / "run.psm", run())
    assert [record.index for record in tracks(tmp_path / "run.psm", model="x101")] == [0, 1, 2, 3, 4, 6, 7]
