"""Live sources side by side, and beside recordings."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from msgspec import structs

from configs.sources import DecodeSettings
from stream.decode import decode
from stream.messages import Begin, End, Frame, Message, SourceSpec, Status
from stream.sources.find import find
from tests.http_media import mjpeg_server
from tests.media import number_of, numbered, write_video
from tests.watched import watched

SETTINGS = DecodeSettings()


def clip(path: Path, count: int) -> SourceSpec:
    (spec,) = find([str(write_video(path, [numbered(number) for number in range(count)]))])
    return spec


def slowly(messages: Iterator[Message], takes_s: float) -> Iterator[Message]:
    """A consumer that takes its time."""
    for message in messages:
        yield message
        due_s = time.monotonic() + takes_s * isinstance(message, Frame)
        while time.monotonic() < due_s:
            time.sleep(0.001)


def test_a_file_may_be_played_at_its_own_clock(tmp_path: Path) -> None:
    spec = structs.replace(clip(tmp_path / "v.mp4", 25), realtime=True)
    began_s = time.monotonic()
    messages = list(decode([spec], SETTINGS, lambda: False))
    assert 0.9 < time.monotonic() - began_s < 5
    frames = [message for message in messages if isinstance(message, Frame)]
    assert [number_of(frame.picture) for frame in frames] == [frame.index for frame in frames]
    assert frames[-1].index == 24
    assert frames[-1].captured_ns - frames[0].captured_ns > 0.8e9
    begin, *_, end = [message for message in messages if not isinstance(message, Frame | Status)]
    assert isinstance(begin, Begin)
    assert begin.live
    assert isinstance(end, End)
    # a machine that is late for a frame takes the next one, and says so
    assert (end.frames + end.lost.get("busy", 0), end.stopped, end.problem) == (25, False, "")


def test_who_is_slow_gets_the_newest_frame_and_knows_how_many_it_missed(tmp_path: Path) -> None:
    spec = structs.replace(clip(tmp_path / "v.mp4", 50), realtime=True)
    frames, ages_s = [], []
    for message in slowly(decode([spec], SETTINGS, lambda: False), 0.15):
        if isinstance(message, Frame):
            frames.append(message)
            ages_s.append(time.monotonic() - message.captured_ns / 1e9)
    assert isinstance(message, End)
    assert message.frames == len(frames)
    assert message.lost == {"busy": 50 - len(frames)}
    assert len(frames) < 25
    assert [number_of(frame.picture) for frame in frames] == [frame.index for frame in frames]
    for before, frame in itertools.pairwise(frames):
        assert frame.dropped.get("busy", 0) == frame.index - before.index - 1
    assert statistics.median(ages_s) < 0.1  # where the oldest came first, it would be over a second


def test_recordings_lose_nothing_beside_live_sources_and_do_not_hold_them_up(tmp_path: Path) -> None:
    order: list[tuple[str, int]] = []
    ended: list[str] = []
    with mjpeg_server() as server:
        specs = [clip(tmp_path / "a.mp4", 60), *find([server.url]), clip(tmp_path / "b.mp4", 60)]
        for message in slowly(decode(specs, SETTINGS, lambda: len(ended) == 2), 0.02):
            match message:
                case Frame():
                    order.append((message.source, number_of(message.picture)))
                case End():
                    ended.append(message.source)
    assert [number for name, number in order if name == "a"] == list(range(60))
    assert [number for name, number in order if name == "b"] == list(range(60))
    while_b = order[order.index(("b", 0)) : order.index(("b", 59))]
    assert sum(name == "127.0.0.1" for name, _ in while_b) > 30  # by turns
    assert ended == ["a", "b", "127.0.0.1"]


def test_a_source_that_dies_disturbs_no_other() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(mjpeg_server()) for _ in range(4)]
        watch = stack.enter_context(watched(*find([server.url for server in servers])))
        watch.until(lambda me: len({frame.source for frame in me.frames}) == 4)
        servers[0].hangs = True
        watch.until(lambda me: me.states[-1][0] == "reconnecting")
        before = {frame.source: frame.index for frame in watch.frames}
        watch.until_frames(90)
        servers[0].hangs = False
        watch.until(lambda me: [f for f in me.frames if f.source == "127.0.0.1"][-1].epoch > 0)
    after = {frame.source: frame for frame in watch.frames}
    for name in ("127.0.0.1-2", "127.0.0.1-3", "127.0.0.1-4"):
        assert after[name].epoch == 0
        assert after[name].index > before[name] + 20


def test_a_stop_ends_sources_that_say_nothing_within_a_second_and_a_half() -> None:
    with mjpeg_server() as server:
        server.hangs = True
        with watched(*find([server.url]), connect_timeout_s=30, read_timeout_s=30) as watch:
            watch.until(lambda me: me.states)
            watch.halt.set()
            assert watch.until(lambda me: me.ends) < 1.5
        assert watch.ends[0].stopped
        server.hangs = False
