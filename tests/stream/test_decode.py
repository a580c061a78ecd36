"""Frames come out whole, upright, in order and at their true times, whatever is wrong with the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from media import cut_index, noisy, number_of, numbered, remux, rotate, spoil, write_video

from configs.schema import DecodeSettings
from stream.decode import decode
from stream.messages import Begin, End, Frame, Message
from stream.sources import find


def read(
    path: Path, stop: Callable[[], bool] = lambda: False, **settings: float
) -> tuple[Begin | None, list[Frame], End]:
    messages: list[Message] = list(decode(find([str(path)]), DecodeSettings.model_validate(settings), stop))
    *frames, end = messages
    begin = frames.pop(0) if frames else None
    assert begin is None or isinstance(begin, Begin)
    assert isinstance(end, End)
    assert all(isinstance(frame, Frame) for frame in frames)
    return begin, [frame for frame in frames if isinstance(frame, Frame)], end


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.pixels.array) for frame in frames]


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
    write_video(tmp_path / "v.h264", [numbered(n) for n in range(10)], bf="0")
    _, frames, _ = read(tmp_path / "v.h264", assumed_fps=10)
    assert numbers(frames) == list(range(10))
    steps = np.diff([frame.pts_ns for frame in frames])
    assert (steps > 0).all()


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


def test_a_range_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(100)], g="30")
    begin, frames, _ = read(tmp_path / "v.mp4", start_s=1.2, end_s=2.0)
    assert numbers(frames) == list(range(30, 50))
    assert begin is not None
    assert (begin.frames, begin.duration_s) == (20, pytest.approx(0.8))
    assert frames[0].pts_ns == pytest.approx(1.2e9, abs=1e6)


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


def test_a_bad_packet_costs_no_more_than_itself(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(60)], g="1", bf="0")
    _, frames, end = read(spoil(good, tmp_path / "bad.mkv", every=7))
    assert end.damaged == 8
    assert numbers(frames) == [n for n in range(60) if n % 7 != 6]
    assert [frame.index for frame in frames] == list(range(52))


def test_a_cut_file_gives_what_is_left_and_says_so(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(60)], g="10")
    data = remux(good, tmp_path / "cut.mp4", "mp4", movflags="+faststart").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    _, frames, end = read(tmp_path / "cut.mp4")
    assert 25 < len(frames) < 45
    assert numbers(frames)[:25] == list(range(25))
    assert f"cut.mp4: damaged: {len(frames)} of 60 frames could be read" in end.problem


def test_a_recording_that_lost_its_index_says_so(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(5)])
    _, _, end = read(cut_index(good, tmp_path / "cut.mp4"))
    assert (
        end.problem == f"{tmp_path / 'cut.mp4'}: its index is missing: the recording was cut off before it was finished"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello, world\n" * 100, "not a video that can be read"),
        (b"\0\0\0\x18ftypmp42" + bytes(2000), "its index is missing: the recording was cut off"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:1,\nv.ts\n#EXT-X-ENDLIST\n", ""),
    ],
)
def test_what_is_no_video_gives_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "v.bin").write_bytes(content)
    begin, frames, end = read(tmp_path / "v.bin")
    assert begin is None
    assert frames == []
    assert end.problem.startswith(f"{tmp_path / 'v.bin'}: ")
    assert said in end.problem
    assert "\n" not in end.problem


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mkv", [numbered(1, 256, 256)] * 2, codec="ffv1")
    _, _, end = read(tmp_path / "v.mkv", frame_px2_max=256 * 255)
    assert "256x256 pixels; at most 65280 are read" in end.problem


def test_reading_stops_when_asked(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(n) for n in range(50)])
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 10

    _, frames, end = read(tmp_path / "v.mp4", stop)
    assert end.stopped
    assert len(frames) == end.frames == 10


def test_a_bad_source_does_not_keep_the_next_from_being_read(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [numbered(n) for n in range(5)])
    (tmp_path / "bad.mp4").write_text("no")
    messages = list(decode(find([str(tmp_path / "bad.mp4"), str(good)]), DecodeSettings(), lambda: False))
    assert [type(message).__name__ for message in messages] == ["End", "Begin"] + ["Frame"] * 5 + ["End"]


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
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
