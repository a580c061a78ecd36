"""Frames come out whole, upright, in order and at their true times, whatever is wrong with the file."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from media import cut_index, noisy, number_of, numbered, png_header, remux, rotate, spoil, write_video

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


def open_files() -> set[str]:
    return {file.path for file in psutil.Process().open_files()}


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


def test_a_file_whose_last_packet_is_torn_says_so(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(20)], bf="0")
    data = remux(good, tmp_path / "cut.mp4", "mp4", movflags="+faststart").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[:-3000])
    _, frames, end = read(tmp_path / "cut.mp4")
    assert len(frames) >= 19
    assert end.damaged > 0


def test_a_trimmed_file_is_not_taken_for_a_cut_one(tmp_path: Path) -> None:
    """Phones trim by an edit list: the frames beyond are in the file and not in the video."""
    data = bytearray(write_video(tmp_path / "v.mp4", [numbered(n) for n in range(100)]).read_bytes())
    length = data.index(b"elst") + 12
    data[length : length + 4] = (1500).to_bytes(4, "big")  # thousandths
    (tmp_path / "v.mp4").write_bytes(data)
    _, frames, end = read(tmp_path / "v.mp4")
    assert 37 <= len(frames) <= 39
    assert (end.damaged, end.problem) == (0, "")


@pytest.mark.parametrize("form", ["matroska", "flv"])
def test_a_cut_file_that_does_not_count_its_frames_says_how_far_it_goes(tmp_path: Path, form: str) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(60)], g="10")
    data = remux(good, tmp_path / "v", form).read_bytes()
    (tmp_path / "v").write_bytes(data[: len(data) * 5 // 10])
    _, frames, end = read(tmp_path / "v")
    assert 20 < len(frames) < 40
    assert re.search(r"/v: ends after 1\.\d of 2\.[45] s: it was cut off", end.problem)


def test_flipped_bits_cost_few_frames_and_are_told(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(60)], g="10", bf="0")
    data = bytearray(remux(good, tmp_path / "v.mp4", "mp4", movflags="+faststart").read_bytes())
    rng = np.random.default_rng(0)
    for at in rng.integers(len(data) // 4, len(data) * 3 // 4, 50):
        data[at] ^= 1 << int(rng.integers(8))
    (tmp_path / "v.mp4").write_bytes(data)
    _, frames, end = read(tmp_path / "v.mp4")
    flagged = [frame for frame in frames if "damaged" in frame.flags]
    assert len(frames) > 50
    assert numbers(frames[:10]) == list(range(10))
    assert end.damaged >= len(flagged) > 0


@pytest.mark.parametrize("torn", [False, True])
def test_a_recording_that_lost_its_index_says_so(tmp_path: Path, torn: bool) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(5)])
    cut = cut_index(good, tmp_path / "cut.mp4")
    if torn:
        cut.write_bytes(good.read_bytes()[:-600])
    _, _, end = read(cut)
    assert (
        end.problem == f"{tmp_path / 'cut.mp4'}: its index is missing: the recording was cut off before it was finished"
    )


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("v.bin", np.random.default_rng(0).bytes(9999), "not a video that can be read"),
        ("v.txt", b"hello, world\n" * 100, "not a video that can be read"),
        ("v.mp4", b"\0\0\0\x18ftypmp42" + bytes(2000), "its index is missing: the recording was cut off"),
        ("v.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\ngood.ts\n#EXT-X-ENDLIST\n", "a list of other files"),
        ("v.bin", b"ffconcat version 1.0\nfile good.ts\n", "a list of other files; give the videos themselves"),
    ],
)
def test_what_is_no_video_gives_one_line(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write_video(tmp_path / "good.ts", [numbered(n) for n in range(3)])
    (tmp_path / name).write_bytes(content)
    begin, frames, end = read(tmp_path / name)
    assert begin is None
    assert frames == []
    assert end.problem.startswith(f"{tmp_path / name}: ")
    assert said in end.problem
    assert "\n" not in end.problem


def test_a_codec_without_decoder_is_said(tmp_path: Path) -> None:
    data = write_video(tmp_path / "v.mp4", [numbered(1)] * 3).read_bytes()
    (tmp_path / "v.mp4").write_bytes(data.replace(b"avc1", b"zzz1"))
    _, _, end = read(tmp_path / "v.mp4")
    assert end.problem == f"{tmp_path / 'v.mp4'}: no decoder for its video codec in QuickTime / MOV"


def test_sound_with_a_cover_is_no_video(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(1)] * 25, audio="aac")
    with av.open(tmp_path / "v.mp4") as container, av.open(tmp_path / "a.m4a", "w", format="mp4") as out:
        cover, sound = container.streams
        streams = {sound.index: out.add_stream_from_template(sound), cover.index: out.add_stream("png", rate=1)}
        streams[cover.index].disposition = av.stream.Disposition.attached_pic
        streams[cover.index].width, streams[cover.index].height, streams[cover.index].pix_fmt = 128, 96, "rgb24"
        for packet in container.demux(sound):
            if packet.dts is not None:
                packet.stream = streams[sound.index]
                out.mux(packet)
        out.mux(streams[cover.index].encode(av.VideoFrame.from_ndarray(numbered(1), "rgb24")))
    assert read(tmp_path / "a.m4a")[2].problem == f"{tmp_path / 'a.m4a'}: holds no video stream"


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


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(1, 256, 256)] * 2)
    _, _, end = read(tmp_path / "v.mp4", frame_px2_max=256 * 255)
    assert end.problem == f"{tmp_path / 'v.mp4'}: pictures of 65536 pixels; frame_px2_max allows 65280"


def test_a_small_file_that_claims_a_huge_picture_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(16_000, 16_000))
    code = (
        "import re, sys; from stream.decode import decode; from stream.sources import find;"
        "from configs.schema import DecodeSettings;"
        "print(*decode(find(sys.argv[1:]), DecodeSettings(), lambda: False));"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # ru_maxrss holds the parent's
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    said, peak_kb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "no frame of its png video can be decoded, or each has more than 67108864 pixels" in said
    assert int(peak_kb) < 400_000  # the picture would take 768,000


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
    assert [frame.pts_ns / 1e9 for frame in frames] == pytest.approx([0, 0.2, 0.6, 0.8, 1.0])


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
