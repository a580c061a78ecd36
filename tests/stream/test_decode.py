"""Frames come out whole, upright, in order and at their true times."""

from __future__ import annotations

import os
from pathlib import Path

import av
import msgspec
import numpy as np
import psutil
import pytest
from decoded import numbers, read
from media import numbered, remux, rotate, write_video
from msgspec import structs

from configs.sources import DecodeSettings
from stream.decode import decode
from stream.messages import Begin, Frame, SourceSpec
from stream.sources.find import find


def open_files() -> set[str]:
    return {file.path for file in psutil.Process().open_files()}


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"), ("a.ts", "libx264")],
)
def test_every_frame_comes_once_in_order(tmp_path: Path, name: str, codec: str) -> None:
    begin, frames, end = read(write_video(tmp_path / name, [numbered(n) for n in range(60)], codec=codec))
    assert numbers(frames) == list(range(60))
    assert [frame.index for frame in frames] == list(range(60))
    assert begin is not None
    assert (begin.width, begin.height, round(begin.fps)) == (128, 96, 25)
    assert begin.frames is None or abs(begin.frames - 60) <= 1
    assert (end.frames, end.damaged, end.problem) == (60, 0, "")


def test_times_are_the_source_s_own_though_they_vary(tmp_path: Path) -> None:
    times = np.cumsum([0, 0.04, 0.1, 0.033, 1.5, 0.02, 0.5]).tolist()
    _, frames, _ = read(write_video(tmp_path / "v.mp4", [numbered(n) for n in range(7)], times))
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx(times, abs=1e-4)
    assert all(frame.flags == () for frame in frames)


def test_a_raw_stream_gets_the_assumed_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "v.h264", [numbered(n) for n in range(30)], bf="2")
    begin, frames, _ = read(tmp_path / "v.h264", assumed_fps=10, start_s=1.0, end_s=2.0)
    assert begin is not None
    assert begin.fps == 10
    assert numbers(frames) == list(range(10, 20))
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx(np.arange(1, 2, 0.1).tolist())
    assert {frame.flags for frame in frames} == {("timing_assumed",)}


def test_a_container_that_names_no_rate_is_not_taken_for_a_fast_one(tmp_path: Path) -> None:
    remux(write_video(tmp_path / "v.mp4", [numbered(n) for n in range(30)]), tmp_path / "v.mkv", "matroska")
    begin, _, _ = read(tmp_path / "v.mkv")
    assert begin is not None
    assert (round(begin.fps), begin.frames) == (25, 30)


@pytest.mark.parametrize(("degrees", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_a_turned_video_stands_upright(tmp_path: Path, degrees: int, turns: int) -> None:
    """The file says by how many degrees, clockwise, players turn the stored picture."""
    stored = numbered(0)
    stored[:30, :40] = [255, 0, 0]
    rotate(write_video(tmp_path / "v.mp4", [stored] * 3), degrees)
    begin, frames, _ = read(tmp_path / "v.mp4")
    expected = np.rot90(stored, turns)
    assert begin is not None
    assert (begin.height, begin.width) == expected.shape[:2]
    assert np.abs(frames[0].pixels.array.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(("height", "width"), [(97, 131), (1, 1), (2, 300)])
def test_odd_sizes_are_kept(tmp_path: Path, height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    _, frames, _ = read(write_video(tmp_path / "v.mkv", [picture] * 2, codec="ffv1"))
    np.testing.assert_array_equal(frames[1].pixels.array, picture)
    assert frames[1].pixels.array.flags.c_contiguous


@pytest.mark.parametrize("height", [480, 720])
def test_colours_are_those_a_player_shows(tmp_path: Path, height: int) -> None:
    """The matrix is BT.601 below 720 lines and BT.709 from there on, where the file names none."""
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 30]], np.uint8)
    picture = np.repeat(np.repeat(colours[None], height, 0), 160, 1)
    path = tmp_path / "v.mp4"
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 640, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        out.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=1 if height >= 720 else 5)))
        out.mux(stream.encode(None))
    _, frames, _ = read(path)
    shown = frames[0].pixels.array[height // 2, 80::160].astype(int)
    assert np.abs(shown - colours).max() <= 6


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.flv"])
@pytest.mark.parametrize("start", [1, 30, 70])
def test_a_range_holds_its_start_and_not_its_end(tmp_path: Path, name: str, start: int) -> None:
    """Of these a transport stream has no index: where a seek ends is a guess."""
    write_video(tmp_path / name, [numbered(n) for n in range(100)], g="60", bf="2")
    _, whole, _ = read(tmp_path / name)
    begin, frames, end = read(tmp_path / name, start_s=start / 25, end_s=(start + 20) / 25)
    assert numbers(frames) == list(range(start, start + 20))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.pts_ns for frame in frames] == [frame.pts_ns for frame in whole[start : start + 20]]
    assert begin is not None
    assert (begin.frames, begin.duration_s) == (20, pytest.approx(0.8))
    assert (end.damaged, end.problem) == (0, "")


def test_a_range_beyond_the_end_is_empty_and_says_so(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(10)])
    _, frames, end = read(tmp_path / "v.mp4", start_s=60)
    assert (frames, end.problem) == ([], f"{tmp_path / 'v.mp4'}: no frame lies between --start and --end")


@pytest.mark.parametrize("start_s", [0.4, 2.0])
@pytest.mark.parametrize(("name", "codec"), [("v.ts", "libx264"), ("v.mpg", "mpeg2video")])
def test_a_clock_that_starts_anew_after_the_start_is_still_after_it(
    tmp_path: Path, name: str, codec: str, start_s: float
) -> None:
    """Recordings joined end to end: a seek may lead into any of the parts."""
    part = write_video(tmp_path / name, [numbered(n) for n in range(55)], codec=codec)
    (tmp_path / "joined").write_bytes(part.read_bytes() * 2)
    _, whole, _ = read(tmp_path / "joined")
    _, frames, _ = read(tmp_path / "joined", start_s=start_s)
    assert numbers(whole) == [*range(55)] * 2
    assert numbers(frames) == numbers(whole)[round(start_s * 25) :]


def test_each_source_has_its_own_range(tmp_path: Path) -> None:
    for name in "abc":
        write_video(tmp_path / f"{name}.mp4", [numbered(n) for n in range(50)])
    a, b, c = find([str(tmp_path)])
    specs = [structs.replace(a, start_s=1.0, end_s=1.2), structs.replace(b, start_s=0.0), c]
    messages = list(decode(specs, DecodeSettings(start_s=0.4, end_s=0.8), lambda: False))
    shown = {name: numbers([m for m in messages if isinstance(m, Frame) and m.source == name]) for name in "abc"}
    assert shown == {"a": list(range(25, 30)), "b": list(range(20)), "c": list(range(10, 20))}
    assert [(m.start_s, m.end_s) for m in messages if isinstance(m, Begin)] == [(1.0, 1.2), (0.0, 0.8), (0.4, 0.8)]


def test_what_a_sink_needs_of_the_source_is_told_at_its_beginning(tmp_path: Path) -> None:
    loud = read(write_video(tmp_path / "a.mp4", [numbered(n) for n in range(50)], audio="aac"))[0]
    mute = read(write_video(tmp_path / "b.ts", [numbered(n) for n in range(50)]), start_s=1.0)
    assert loud is not None
    assert (loud.sound, loud.end_ns, loud.start_s) == (True, pytest.approx(2e9, abs=1e6), 0.0)
    begin, frames, _ = mute
    assert begin is not None
    assert (begin.sound, begin.start_s) == (False, 1.0)
    assert begin.end_ns == pytest.approx(frames[-1].pts_ns + 40e6, abs=1e6)


@pytest.mark.parametrize(
    "name", [b"14:30:05.mp4", b"caf\xe9.mp4", "grüße.mp4".encode(), b"two\nlines.mp4", b"a%41.mp4", b"file:a.mp4"]
)
def test_a_file_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: bytes) -> None:
    """Also by a relative path, and after its spec has been through a message."""
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(3)]).rename(tmp_path / os.fsdecode(name))
    monkeypatch.chdir(tmp_path)
    for source in (os.fsdecode(name), "*.mp4", str(tmp_path)):
        (spec,) = msgspec.json.decode(msgspec.json.encode(find([source])), type=list[SourceSpec])
        messages = list(decode([spec], DecodeSettings(), lambda: False))
        assert numbers([m for m in messages if isinstance(m, Frame)]) == [0, 1, 2]
        msgspec.json.encode([m for m in messages if not isinstance(m, Frame)])


def test_a_change_of_size_begins_a_new_epoch(tmp_path: Path) -> None:
    small = write_video(tmp_path / "s.ts", [numbered(n) for n in range(10)])
    large = write_video(tmp_path / "l.ts", [numbered(n, 256, 192) for n in range(10, 20)])
    (tmp_path / "both.ts").write_bytes(small.read_bytes() + large.read_bytes())
    _, frames, _ = read(tmp_path / "both.ts")
    assert numbers(frames) == list(range(20))
    assert [(frame.width, frame.height) for frame in frames] == [(128, 96)] * 10 + [(256, 192)] * 10
    assert frames[-1].epoch > frames[0].epoch == 0
    for epoch in {frame.epoch for frame in frames}:
        times = [frame.pts_ns for frame in frames if frame.epoch == epoch]
        assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("v.mkv", "ffv1", "gray"),
        ("v.mkv", "ffv1", "yuv420p10le"),
        ("v.mkv", "ffv1", "yuv422p"),
        ("v.mkv", "ffv1", "yuva444p"),
        ("v.mkv", "mjpeg", "yuvj420p"),  # full range
        ("v.gif", "gif", "gray"),  # read as a palette
        ("v.mov", "png", "rgba"),
        ("v.mov", "png", "rgb48be"),
    ],
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, name: str, codec: str, form: str) -> None:
    greys = np.repeat(np.repeat(np.array([20, 120, 235], np.uint8), 32)[None, :, None], 64, 0).repeat(3, 2)
    with av.open(tmp_path / name, "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, form
        for _ in range(2):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(greys, "rgb24").reformat(format=form)))
        out.mux(stream.encode(None))
    _, frames, _ = read(tmp_path / name)
    shown = frames[1].pixels.array
    assert (shown.dtype, shown.shape) == (np.uint8, (64, 96, 3))
    assert np.abs(shown[32, 16::32].astype(int) - greys[32, 16::32]).max() <= 4


@pytest.mark.parametrize("start_s", [0.0, 1.9])
def test_reading_stops_when_asked(tmp_path: Path, start_s: float) -> None:
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(50)])
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 10

    _, frames, end = read(tmp_path / "v.mp4", stop, start_s=start_s)
    assert (end.stopped, end.problem) == (True, "")
    assert len(frames) == end.frames < 10


def test_images_are_read_as_people_count(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in (1, 2, 9, 10, 11):
        av.VideoFrame.from_ndarray(numbered(n), "rgb24").save(str(folder / f"img{n}.png"))
    (folder / "img3.png").write_bytes(b"torn")
    (folder / "notes.txt").write_text("no picture")
    begin, frames, end = read(folder, assumed_fps=5)
    assert numbers(frames) == [1, 2, 9, 10, 11]
    assert end.damaged == 1
    assert begin is not None
    assert begin.spec.kind == "images"
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx([0, 0.2, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("fps", [0.001, 0.0004, 29.97])
def test_images_may_follow_one_another_slowly(tmp_path: Path, fps: float) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(2):
        av.VideoFrame.from_ndarray(numbered(n), "rgb24").save(str(folder / f"{n}.png"))
    settings = DecodeSettings.model_construct(**{**DecodeSettings().model_dump(), "assumed_fps": fps})
    begin, *frames, _ = decode(find([str(folder)]), settings, lambda: False)
    assert isinstance(begin, Begin)
    assert begin.fps == pytest.approx(fps, rel=1e-6)
    assert [m.pts_ns for m in frames if isinstance(m, Frame)] == [0, pytest.approx(1e9 / fps, rel=1e-6)]


def test_images_of_a_range_have_their_own_times(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(10):
        av.VideoFrame.from_ndarray(numbered(n), "rgb24").save(str(folder / f"{n}.png"))
    _, frames, _ = read(folder, assumed_fps=5, start_s=0.6, end_s=1.2)
    assert numbers(frames) == [3, 4, 5]
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx([0.6, 0.8, 1.0])


def test_a_reader_that_turns_away_leaves_no_file_open(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(50)])
    messages = decode(find([str(tmp_path / "v.mp4")]), DecodeSettings(), lambda: False)
    for _ in range(3):
        next(messages)
    assert str(tmp_path / "v.mp4") in open_files()
    messages.close()  # type: ignore[attr-defined]
    assert str(tmp_path / "v.mp4") not in open_files()
