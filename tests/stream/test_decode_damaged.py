"""What is wrong with a file is said in one line, and costs no frame that could be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from decoded import numbers, read
from media import cut_index, noisy, numbered, png_header, remux, spoil, write_png, write_video

from configs.sources import DecodeSettings
from stream.decode import decode
from stream.messages import End
from stream.sources.find import find


def test_a_bad_packet_costs_no_more_than_itself(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [noisy(n) for n in range(60)], g="1", bf="0")
    _, frames, end = read(spoil(good, tmp_path / "bad.mkv", every=7))
    assert end.damaged == 8
    assert numbers(frames) == [n for n in range(60) if n % 7 != 6]
    assert [frame.index for frame in frames] == list(range(52))


def test_a_packet_and_the_frame_that_comes_of_it_count_once(tmp_path: Path) -> None:
    """A transport stream marks the packet that lost a part; the decoder marks the frame."""
    good = write_video(tmp_path / "good.ts", [noisy(n) for n in range(40)], g="1", bf="0")
    data = bytearray(good.read_bytes())
    with av.open(good) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.pos is not None]
    for number in (10, 20, 30):
        at = places[number] + 188 * 20  # in the middle of the picture
        del data[at - 188 * (number // 10 - 1) : at - 188 * (number // 10 - 1) + 188]
    (tmp_path / "bad.ts").write_bytes(data)
    _, frames, end = read(tmp_path / "bad.ts")
    assert [frame.index for frame in frames if "damaged" in frame.flags] == [10, 20, 30]
    assert end.damaged == 3


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


def test_images_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    for n in range(15):
        write_png(tmp_path / f"{n}.png", numbered(n))
    for n in range(1, 13):
        (tmp_path / f"{n}.png").write_bytes(b"torn")
    write_png(tmp_path / "14.png", np.zeros((300, 300, 3), np.uint8))
    (tmp_path / "clip.gif").write_bytes(b"GIF89a")
    _, frames, end = read(tmp_path, frame_pixels_max=128 * 96)
    assert numbers(frames) == [0, 13]
    assert end.damaged == 13
    assert end.notes[0] == f"{tmp_path / '1.png'}: cannot be decoded"
    assert end.notes[10:] == (
        f"{tmp_path}: 3 more images cannot be read",
        f"{tmp_path}: clip.gif is left out: a video among images; give it by itself",
    )


def test_a_folder_of_which_nothing_can_be_read_gives_one_line(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(b"torn")
    _, _, end = read(tmp_path)
    assert (end.problem, end.notes) == (f"{tmp_path}: none of its 3 images can be read", ())


def test_what_is_gone_by_the_time_it_is_read_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    write_png(tmp_path / "d/1.png", numbered(1))
    specs = find([str(tmp_path / "d"), str(tmp_path / "d/1.png")])
    (tmp_path / "d/1.png").unlink()
    (tmp_path / "d").rmdir()
    assert [m.problem for m in decode(specs, DecodeSettings(), lambda: False) if isinstance(m, End)] == [
        f"{tmp_path / 'd'}: folder cannot be read: No such file or directory",
        f"{tmp_path / 'd/1.png'}: cannot be opened: No such file or directory",
    ]


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


def test_a_picture_beyond_the_limit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [numbered(1, 256, 256)] * 2)
    _, _, end = read(tmp_path / "v.mp4", frame_pixels_max=256 * 255)
    assert end.problem == f"{tmp_path / 'v.mp4'}: pictures of 65536 pixels; frame_pixels_max allows 65280"


def test_a_small_file_that_claims_a_huge_picture_costs_no_memory(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(16_000, 16_000))
    code = (
        "import re, sys; from stream.decode import decode; from stream.sources.find import find;"
        "from configs.sources import DecodeSettings;"
        "print(*decode(find(sys.argv[1:]), DecodeSettings(), lambda: False));"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"  # ru_maxrss holds the parent's
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    said, peak_kb = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "no frame of its png video can be decoded, or each has more than 67108864 pixels" in said
    assert int(peak_kb) < 400_000  # the picture would take 768,000


def test_a_bad_source_does_not_keep_the_next_from_being_read(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", [numbered(n) for n in range(5)])
    (tmp_path / "bad.mp4").write_text("no")
    messages = list(decode(find([str(tmp_path / "bad.mp4"), str(good)]), DecodeSettings(), lambda: False))
    assert [type(message).__name__ for message in messages] == ["End", "Begin"] + ["Frame"] * 5 + ["End"]
