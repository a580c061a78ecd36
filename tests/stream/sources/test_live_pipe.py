"""Pipes: fed, stalled, closed and fed again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from configs.sources import DecodeSettings, LiveSettings
from stream.messages import SourceSpec
from stream.sources.find import find
from stream.sources.live import LiveSource
from tests.media import numbered, remux, write_video
from tests.watched import watched

COUNT = 60


@pytest.fixture
def transport_stream(tmp_path: Path) -> bytes:
    video = write_video(tmp_path / "s.mp4", [numbered(number) for number in range(COUNT)], tune="zerolatency", g="5")
    return remux(video, tmp_path / "s.ts", "mpegts").read_bytes()


def y4m(*numbers: int) -> bytes:
    """Raw grey pictures as `ffmpeg … -f yuv4mpegpipe -` writes them."""
    pictures = b"".join(b"FRAME\n" + numbered(number)[..., 0].tobytes() for number in numbers)
    return b"YUV4MPEG2 W128 H96 F25:1 Ip A1:1 Cmono\n" + pictures


def test_a_named_pipe_is_waited_for_read_and_read_again_by_its_next_writer(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with watched(*find([str(path)], allow_pipe=True), retry_s=0.05) as watch:
        for epoch in (0, 1):
            with open(path, "wb") as pipe:
                pipe.write(y4m(*range(5)))
            watch.until(lambda me, now=epoch: me.frames and me.frames[-1].epoch == now and me.numbers[-1] == 4)
            watch.until(lambda me: me.states[-1] == ("reconnecting", "the stream ended; attempt 1"))
    assert watch.frames[-1].index == 9
    assert watch.ends[0].stopped


def test_a_pipe_that_stalls_is_degraded_and_its_writer_lives(tmp_path: Path, transport_stream: bytes) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    on, done = Event(), Event()

    def write() -> None:
        with open(path, "wb") as pipe:
            pipe.write(transport_stream)
            pipe.flush()
            on.wait(20)
            pipe.write(transport_stream)
        done.set()

    writer = Thread(target=write, daemon=True)
    writer.start()
    with watched(*find([str(path)], allow_pipe=True), read_timeout_s=0.3) as watch:
        watch.until(lambda me: me.states and me.states[-1] == ("degraded", "no frame for 0.3 s"))
        frames = len(watch.frames)
        on.set()
        watch.until(lambda me: len(me.frames) > frames)
        assert done.wait(5)
    writer.join(5)


def test_the_standard_input_ends_when_it_ends(transport_stream: bytes) -> None:
    code = (
        "from stream.decode import decode; from stream.sources.find import find; from configs.schema import *\n"
        "from tests.media import number_of\n"
        "for m in decode(find(['-']), DecodeSettings(), lambda: False):\n"
        "    print(type(m).__name__, number_of(m.picture) if hasattr(m, 'picture') else m, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=transport_stream, capture_output=True, timeout=60)
    lines = done.stdout.decode().splitlines()
    assert not done.stderr
    assert [line for line in lines if line.startswith("Frame")][-1] == f"Frame {COUNT - 1}"
    assert lines[-1].startswith("End End(source='stdin'")
    assert "problem=''" in lines[-1]
    assert "stopped=False" in lines[-1]


@pytest.mark.parametrize("data", [b"", b"no video " * 5000])
def test_a_standard_input_without_video_is_an_error(data: bytes) -> None:
    code = (
        "from stream.decode import decode; from stream.sources.find import find; from configs.schema import *\n"
        "*_, end = decode(find(['-']), DecodeSettings(), lambda: False); print(end.problem)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=60)
    assert not done.stderr
    assert done.stdout.decode().startswith("-: not a video that can be read")


def test_a_pipe_names_no_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", [numbered(1)] * 5)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    spec = SourceSpec("p", "pipe", str(path))
    source = LiveSource(spec, DecodeSettings(), LiveSettings(), lambda: False)
    writer = Thread(target=lambda: path.write_text(f"ffconcat version 1.0\nfile {video}\n"), daemon=True)
    writer.start()
    with pytest.raises(OSError, match=r"pipe: not a video that can be read"):
        source.open()
    writer.join(5)
    source.close()


def test_a_pipe_that_is_given_up_leaves_no_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with watched(SourceSpec("p", "pipe", str(path))) as watch:
        watch.until(lambda me: me.states)
    watch.join(5)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
