"""The overlay of a live source can be played whenever the run ends, and is cut and deleted as asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media import pictures_of

from configs.load import load
from configs.video import VideoSettings
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec
from stream.sinks.video import VideoSink
from stream.stage import run_here

WALL_NS = 1_764_072_000_000_000_000  # 2025-11-25T12:00:00Z


def frames(count: int, first: int = 0) -> Iterator[Frame]:
    for n in range(first, first + count):
        picture = np.full((96, 128, 3), 5 * n % 256, np.uint8)
        at_ns = n * 100_000_000
        yield Frame("cam", 0, n, at_ns, at_ns, WALL_NS + at_ns, 128, 96, Pixels(picture))


def begin(folder: Path, again: bool = False) -> Begin:
    return Begin(SourceSpec("cam", "camera", "0", str(folder)), 128, 96, 10.0, live=True, again=again)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_can_be_played_though_nobody_ended_it(tmp_path: Path) -> None:
    sink = VideoSink(VideoSettings(preset="ultrafast"))
    for message in [begin(tmp_path), *frames(600)]:
        list(sink.process(message))
    shown = len(pictures_of(tmp_path / "overlay.mp4"))  # as a killed run leaves it
    assert 600 - 2 * 20 - 60 < shown < 600, "more is missing than two key frames' time and what the encoder holds"
    sink.close()
    assert names(tmp_path) == ["overlay.mp4"]


def test_stages_that_were_restarted_go_on_in_another_file(tmp_path: Path) -> None:
    given: list[Message] = [begin(tmp_path), *frames(10), End("cam", 10)]
    list(run_here(given, VideoSink(VideoSettings())))
    list(run_here([begin(tmp_path, again=True), *frames(5, 10), End("cam", 15)], VideoSink(VideoSettings())))
    assert names(tmp_path) == ["overlay-2.mp4", "overlay.mp4"]
    assert [len(pictures_of(tmp_path / name)) for name in names(tmp_path)] == [5, 10]


def test_it_is_cut_where_asked_and_no_frame_is_lost(tmp_path: Path) -> None:
    video = load(None, ["video.segment_s=2s"]).video
    list(run_here([begin(tmp_path), *frames(50), End("cam", 50)], VideoSink(video)))
    assert names(tmp_path) == [f"overlay-20251125T1200{second:02d}Z.mp4" for second in (0, 2, 4)]
    assert [len(pictures_of(tmp_path / name)) for name in names(tmp_path)] == [20, 20, 10]


@pytest.mark.parametrize(
    ("setting", "kept"), [("video.keep_s=5m", ["b", "c"]), ("video.keep_bytes=250", ["b", "c"]), ("video.hud", "abc")]
)
def test_the_oldest_are_deleted_by_time_or_bytes_and_nothing_else(
    tmp_path: Path, setting: str, kept: list[str]
) -> None:
    for name, age_s in {"a": 400, "b": 200, "c": 100}.items():
        path = tmp_path / f"overlay-20251125T1150{name}Z.mp4"
        path.write_bytes(bytes(100))
        os.utime(path, (WALL_NS / 1e9 - age_s,) * 2)
    (tmp_path / "overlay.mp4").write_bytes(b"mine")
    more = [] if setting == "video.hud" else [setting]
    video = load(None, ["video.segment_s=10m", *more]).video
    list(run_here([begin(tmp_path), *frames(3), End("cam", 3)], VideoSink(video)))
    left = [name for name in "abc" if (tmp_path / f"overlay-20251125T1150{name}Z.mp4").exists()]
    assert left == list(kept)
    assert (tmp_path / "overlay.mp4").read_bytes() == b"mine"
