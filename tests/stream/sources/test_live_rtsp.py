"""RTSP against a real server on the loopback: killed, frozen, lossy, locked."""

from __future__ import annotations

import itertools
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.rtsp_client import Server, installed
from tests.watched import Watched

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def _gstreamer() -> None:
    if not installed():
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi")


@pytest.fixture
def serve(_gstreamer: None) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*options: str) -> Server:
        servers.append(Server(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def reconnecting(watch: Watched) -> bool:
    return watch.states[-1][0] == "reconnecting"


def test_every_frame_is_the_camera_s_own_and_a_gap_in_index_shows_a_loss(serve: Serve) -> None:
    with serve().watched() as watch:
        watch.until_frames(60)
    frames = watch.frames
    assert not [frame for frame in frames if "damaged" in frame.flags]
    assert len(watch.begins) == 1
    assert watch.begins[0].live
    assert watch.begins[0].fps == 25
    assert len(set(watch.numbers)) == len(watch.numbers)  # none repeated
    offsets = {number - frame.index for number, frame in zip(watch.numbers, frames, strict=True)}
    assert len(offsets) == 1  # index counts the camera's frames, whether or not we had time for them
    assert frames[-1].index + 1 == len(frames) + sum(sum(frame.dropped.values()) for frame in frames)
    assert all(late.pts_ns > early.pts_ns for early, late in itertools.pairwise(frames))
    assert watch.ends[0].stopped


def test_a_killed_server_that_comes_back_is_read_again(serve: Serve) -> None:
    server = serve()
    with server.watched() as watch:
        watch.until_frames(10)
        before = handles()
        for round in (1, 2):
            server.kill()
            watch.until(reconnecting, 3)
            frames = len(watch.frames)
            server.start()
            assert watch.until(lambda me, had=frames: len(me.frames) > had) < 3
            assert watch.frames[-1].epoch == round
        watch.until(lambda _: handles() == before)  # the old connections leave nothing behind
    indices = [frame.index for frame in watch.frames]
    assert indices == sorted(set(indices))
    assert len(watch.begins) == 1


def handles() -> tuple[int, int]:
    return threading.active_count(), psutil.Process().num_fds()


def test_a_frozen_server_is_noticed_and_read_again_when_it_thaws(serve: Serve) -> None:
    server = serve()
    with server.watched() as watch:
        watch.until_frames(5)
        server.signal(signal.SIGSTOP)
        assert watch.until(reconnecting) < 2.5  # by time limits of 1 and 1.5 s, which are 5 s unless set
        server.signal(signal.SIGCONT)
        frames = len(watch.frames)
        assert watch.until(lambda me: len(me.frames) > frames) < 3
        assert watch.frames[-1].epoch == 1


def test_another_size_after_a_restart_begins_an_epoch_and_no_second_source(serve: Serve) -> None:
    server = serve()
    with server.watched() as watch:
        watch.until_frames(3)
        server.kill()
        server.start("--size", "192x144")
        watch.until(lambda me: me.frames[-1].width == 192)
        assert (watch.frames[-1].epoch, watch.frames[-1].height, len(watch.begins)) == (1, 144, 1)


@pytest.mark.parametrize(("transport", "loss", "flagged"), [("udp", "0", False), ("udp", "0.05", True)])
def test_lost_packets_are_flagged_and_nothing_else_is(serve: Serve, transport: str, loss: str, flagged: bool) -> None:
    with serve("--loss", loss).watched(f"live?rtsp_transport={transport}") as watch:
        watch.until_frames(40)
    damaged = [frame for frame in watch.frames if "damaged" in frame.flags]
    assert bool(damaged) == flagged
    assert (("degraded", "damaged frames") in watch.states) == flagged
    assert watch.ends[0].damaged >= len(damaged)


def test_damaged_frames_are_left_out_until_a_key_frame_where_that_is_asked_for(serve: Serve) -> None:
    with serve("--loss", "0.05").watched(skip_damaged=True) as watch:
        watch.until(lambda me: sum(sum(frame.dropped.values()) for frame in me.frames) > 10, 20)
    assert not [frame for frame in watch.frames if "damaged" in frame.flags]
    (end,) = watch.ends
    assert end.damaged
    assert end.lost["damaged"] > 10
    assert end.frames == len(watch.frames)


@pytest.mark.parametrize(
    ("user", "path", "said"),
    [
        ("me:wr0ng@", "live", r"rtsp://\*\*\*@.*/live: wrong user or password \(401\)"),
        ("", "live", r"/live: wrong user or password \(401\)"),
        ("me:s3cret%40@", "none", r"/none: no such stream on the server \(404\); check the path"),
    ],
)
def test_a_wrong_password_or_path_is_an_error_at_once(serve: Serve, user: str, path: str, said: str) -> None:
    with serve("--user", "me:s3cret@").watched(path, user) as watch:
        assert watch.until(lambda me: me.ends) < 2
    assert re.search(said, watch.ends[0].problem)
    assert watch.states[-1][0] == "failed"


def test_user_and_password_come_from_environment_or_file(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve("--user", "me:s3cret@")
    with monkeypatch.context() as patch:
        patch.setenv("POSESTREAM_USER", "me")
        patch.setenv("POSESTREAM_PASSWORD", "s3cret@")
        with server.watched() as watch:
            watch.until_frames(1)
    file = tmp_path / "credentials"
    file.write_text("machine 127.0.0.1 login me password s3cret@\n")
    file.chmod(0o600)
    with server.watched(credentials=str(file)) as watch:
        watch.until_frames(1)


def test_a_password_that_is_refused_later_is_tried_again_slowly(serve: Serve) -> None:
    server = serve()
    with server.watched() as watch:
        watch.until_frames(1)
        server.kill()
        server.start("--user", "me:s3cret")
        watch.until(lambda me: me.states[-1][1].startswith("wrong user or password (401)"))
