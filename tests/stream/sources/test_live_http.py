"""Streams over HTTP and TCP, from servers on the loopback."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

import pytest

from stream.messages import SourceSpec
from stream.sources.find import find
from tests.http_media import folder_server, mjpeg_server
from tests.media import numbered, remux, write_video
from tests.watched import watched


def test_motion_jpeg_is_read_with_times_of_arrival() -> None:
    with mjpeg_server() as server, watched(*find([server.url])) as watch:
        watch.until_frames(20)
    assert len(set(watch.numbers)) == len(watch.numbers)
    assert len({number - frame.index for number, frame in zip(watch.numbers, watch.frames, strict=True)}) == 1
    assert all(frame.flags == ("timing_assumed",) for frame in watch.frames)
    first, last = watch.frames[0], watch.frames[-1]
    assert last.pts_ns - first.pts_ns == last.captured_ns - first.captured_ns


def test_another_size_within_a_stream_begins_an_epoch() -> None:
    with mjpeg_server() as server, watched(*find([server.url])) as watch:
        watch.until_frames(3)
        server.size = (192, 144)
        watch.until(lambda me: me.frames[-1].width == 192)
        watch.until_frames(3)
    assert sorted({(frame.epoch, frame.width, frame.height) for frame in watch.frames}) == [(0, 128, 96), (1, 192, 144)]


def test_a_stream_that_ends_or_falls_silent_is_connected_anew() -> None:
    with mjpeg_server() as server, watched(*find([server.url])) as watch:
        watch.until_frames(3)
        server.cuts = True
        watch.until(lambda me: me.frames[-1].epoch == 1)
        server.hangs = True
        assert 0.8 < watch.until(lambda me: me.states[-1][0] == "reconnecting") < 3
        assert watch.states[-1][1] in ("no frame for 1 s; attempt 1", "no answer; attempt 1")
        server.hangs = False
        watch.until(lambda me: me.frames[-1].epoch == 2)
        watch.until(lambda me: me.states[-1] == ("ok", ""))
    assert watch.numbers == sorted(set(watch.numbers))


def test_pictures_that_are_cut_short_are_left_out_and_are_gaps() -> None:
    with mjpeg_server() as server, watched(*find([server.url])) as watch:
        watch.until_frames(5)
        assert watch.states[-1] == ("ok", "")
        server.spoils = True
        watch.until(lambda me: me.states[-1] == ("degraded", "damaged frames"))
        watch.until_frames(30)
    assert {number - frame.index for number, frame in zip(watch.numbers, watch.frames, strict=True)} == {0}
    assert not [number for number in watch.numbers[10:] if number % 10 == 9 and number > 20]
    frames = watch.frames
    assert frames[-1].index + 1 == len(frames) + sum(sum(frame.dropped.values()) for frame in frames)
    assert watch.ends[0].damaged >= 3


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with watched(*find([f"http://127.0.0.1:{port}/live"])) as watch:
        watch.until(lambda me: me.states and me.states[-1] == ("reconnecting", "connection refused; attempt 2"))
        with mjpeg_server(port):
            watch.until_frames(1)
    assert watch.frames[0].epoch == 0


def test_a_server_is_given_up_after_as_many_attempts_as_are_allowed() -> None:
    with socket.socket() as deaf:  # accepts, and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/live"
        with watched(*find([url]), reconnect_limit=1, connect_timeout_s=0.3) as watch:
            watch.until(lambda me: me.ends)
    assert watch.ends[0].problem == f"{url}: no answer; given up after 2 attempts"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://nobody.invalid/live", "http://nobody.invalid/live: no host is called nobody.invalid"),
        ("http://127.0.0.1:{port}/text.txt", "http://127.0.0.1:{port}/text.txt: not a video that can be read"),
        ("http://127.0.0.1:{port}/none", "http://127.0.0.1:{port}/none: no such stream on the server (404)"),
        ("srt://127.0.0.1:{port}", "srt://127.0.0.1:{port}: FFmpeg as installed here does not read such addresses"),
    ],
)
def test_a_wrong_address_is_an_error_at_once(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text.txt").write_text("no video\n" * 1000)
    with folder_server(tmp_path) as base:
        port = base.rpartition(":")[2]
        with watched(*find([url.format(port=port)])) as watch:
            assert watch.until(lambda me: me.ends) < 2
    assert watch.ends[0].problem.startswith(said.format(port=port))


@pytest.mark.parametrize("name", ["v.mp4", "v.m3u8"])
def test_a_recording_on_a_server_is_played_at_its_own_clock_and_ends(tmp_path: Path, name: str) -> None:
    source = write_video(tmp_path / "s.mp4", [numbered(number) for number in range(25)], g="10")
    form = {"v.mp4": "mp4", "v.m3u8": "hls"}[name]
    remux(source, tmp_path / name, form, **({"hls_time": "0.4"} if form == "hls" else {"movflags": "faststart"}))
    with folder_server(tmp_path) as base, watched(*find([f"{base}/{name}"])) as watch:
        watch.until(lambda me: me.ends)
    assert watch.numbers[0] == 0
    assert watch.numbers[-1] == 24
    assert watch.came_s[-1] - watch.came_s[0] > 0.8
    assert not watch.ends[0].problem
    assert not watch.ends[0].stopped


@pytest.mark.parametrize("line", ["file://{secret}", "{secret}", "concat:{secret}", "crypto+file://{secret}"])
def test_a_playlist_of_the_network_leads_to_no_file_of_this_machine(tmp_path: Path, line: str) -> None:
    served = tmp_path / "served"
    served.mkdir()
    video = write_video(tmp_path / "s.mp4", [numbered(7)] * 10)
    secret = remux(video, tmp_path / "secret.ts", "mpegts")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{line.format(secret=secret)}\n#EXT-X-ENDLIST\n"
    (served / "p.m3u8").write_text(text)
    with folder_server(served) as base, watched(*find([f"{base}/p.m3u8"]), reconnect_limit=0) as watch:
        watch.until(lambda me: me.ends)
    assert not watch.frames
    assert watch.ends[0].problem


def test_a_transport_stream_over_tcp_is_read_and_connected_anew_at_its_end(tmp_path: Path) -> None:
    video = write_video(tmp_path / "s.mp4", [numbered(number) for number in range(10)], tune="zerolatency")
    data = remux(video, tmp_path / "s.ts", "mpegts").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                client, _ = server.accept()
                with client:
                    client.sendall(data)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        with watched(SourceSpec("t", "stream", f"tcp://127.0.0.1:{server.getsockname()[1]}")) as watch:
            watch.until(lambda me: me.frames and me.frames[-1].epoch == 1)
            watch.until(lambda me: me.numbers[-1] == 9)
        thread.join(5)
    indices = [frame.index for frame in watch.frames]
    assert indices == sorted(set(indices))
    assert max(indices) == 19  # two times ten, whatever was missed
