"""Whatever format a file has, its pictures come out whole, as players show them, at their times."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from decoded import numbers, read
from heif import write_heif
from media import noisy, numbered, set_matrix, write_jpeg, write_png, write_video

from stream.sources.folder import IMAGE_ENDINGS, VIDEO_ENDINGS

VIDEOS = {
    ".3gp": ("libx264", "3gp"),
    ".asf": ("wmv2", "asf"),
    ".avi": ("libx264", "avi"),
    ".flv": ("libx264", "flv"),
    ".gif": ("gif", "gif"),
    ".h264": ("libx264", "h264"),
    ".h265": ("libx265", "hevc"),
    ".hevc": ("libx265", "hevc"),
    ".m2ts": ("libx264", "mpegts"),
    ".m4v": ("libx264", "mp4"),
    ".mjpeg": ("mjpeg", "mjpeg"),
    ".mkv": ("libx264", "matroska"),
    ".mov": ("libx264", "mov"),
    ".mp4": ("libx264", "mp4"),
    ".mpeg": ("mpeg2video", "mpeg"),
    ".mpg": ("mpeg1video", "mpeg"),
    ".mts": ("libx264", "mpegts"),
    ".mxf": ("mpeg2video", "mxf"),
    ".ogv": ("libvpx", "ogg"),
    ".ts": ("libx264", "mpegts"),
    ".vob": ("mpeg2video", "vob"),
    ".webm": ("libvpx-vp9", "webm"),
    ".wmv": ("wmv2", "asf"),
    ".y4m": ("wrapped_avframe", "yuv4mpegpipe"),
}
"""A codec and a container for each ending, with B-frames where the codec has them."""


def write(path: Path, codec: str, form: str, count: int = 30, **options: str) -> Path:
    with av.open(path, "w", format=form) as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 256, 192
        stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        if codec in ("libx264", "mpeg1video", "mpeg2video", "mpeg4"):
            stream.codec_context.max_b_frames = 2
        if codec == "libx265":
            stream.options = {"x265-params": "log-level=none", "preset": "ultrafast"}
        if codec.startswith("libvpx"):
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(noisy(number), "rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", sorted(VIDEO_ENDINGS))
def test_every_ending_of_a_video_is_read_at_even_steps_from_anywhere(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"v{ending}", *VIDEOS[ending])
    _, frames, end = read(path)
    assert numbers(frames) == list(range(30))
    assert np.diff([frame.pts_ns for frame in frames]) == pytest.approx(np.full(29, 40e6), abs=1.1e6)
    assert {flag for frame in frames for flag in frame.flags} <= {"timing_assumed"}
    assert (end.damaged, end.problem) == (0, "")
    for start_s in (0.2, 0.5, 1.0):
        assert numbers(read(path, start_s=start_s)[1]) == list(range(math.ceil(start_s * 25), 30))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("start_s", [0.0, 0.04, 0.5, 1.0, 1.8])
def test_avi_with_b_frames_has_even_steps_wherever_it_is_begun(tmp_path: Path, codec: str, start_s: float) -> None:
    """AVI holds no presentation times, and its seeks need not hit."""
    write(tmp_path / "v.avi", codec, "avi", count=50)
    _, whole, _ = read(tmp_path / "v.avi")
    _, frames, end = read(tmp_path / "v.avi", start_s=start_s)
    assert numbers(frames) == list(range(math.ceil(start_s * 25), 50))
    assert set(np.diff([frame.pts_ns for frame in whole])) == {40_000_000}
    assert [frame.pts_ns for frame in frames] == [frame.pts_ns for frame in whole[-len(frames) :]]
    assert {frame.flags for frame in whole} == {()}
    assert end.problem == ""


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_that_lost_its_index_can_be_begun_anywhere(tmp_path: Path, codec: str) -> None:
    """No seek leads anywhere in it: it is read from its beginning."""
    data = write(tmp_path / "v.avi", codec, "avi", count=50).read_bytes()
    (tmp_path / "v.avi").write_bytes(data[: data.rindex(b"idx1")])
    for start_s in (0.5, 1.0, 1.8):
        assert numbers(read(tmp_path / "v.avi", start_s=start_s)[1]) == list(range(math.ceil(start_s * 25), 50))


def write_picture(path: Path) -> Path:
    """A picture of 300 KB or so, with the number 5."""
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    picture[:240] = numbered(5, 640, 480)[:240]
    ending = path.suffix.lower()
    if ending in (".avif", ".heic", ".heif"):
        return write_heif(path, [picture], codec="libsvtav1" if ending == ".avif" else "libx265")
    codec = {".jpg": "mjpeg", ".jpeg": "mjpeg", ".jp2": "jpeg2000", ".tif": "tiff", ".tiff": "tiff"}
    with av.open(path, "w", format="image2") as out:
        name = codec.get(ending, {".webp": "libwebp"}.get(ending, ending[1:]))
        stream = out.add_stream(name, rate=1)
        stream.width, stream.height = 640, 480
        stream.pix_fmt = {"mjpeg": "yuvj420p", "libwebp": "yuv420p", "bmp": "bgr24"}.get(name, "rgb24")
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=stream.pix_fmt)))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("ending", sorted(IMAGE_ENDINGS))
def test_every_ending_of_an_image_is_read_however_large(tmp_path: Path, ending: str) -> None:
    """FFmpeg tells some formats by their first bytes and some, once they are large, by their ending alone."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / f"5{ending}")
    for source in (folder, folder / f"5{ending}"):
        _, frames, end = read(source)
        assert numbers(frames) == [5]
        assert (end.damaged, end.problem, end.notes) == (0, "", ())


def test_a_name_with_a_number_in_it_is_no_row_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, number in (("img%d.jpg", 7), ("img1.jpg", 1), ("img2.jpg", 2)):
        write_jpeg(folder / name, numbered(number, 640, 480))
    assert numbers(read(folder / "img%d.jpg")[1]) == [7]
    assert sorted(numbers(read(folder)[1])) == [1, 2, 7]


TURNS = {
    (1, 0, 0, 1): lambda stored: stored,
    (-1, 0, 0, 1): lambda stored: stored[:, ::-1],
    (-1, 0, 0, -1): lambda stored: stored[::-1, ::-1],
    (1, 0, 0, -1): lambda stored: stored[::-1],
    (0, 1, 1, 0): lambda stored: stored.transpose(1, 0, 2),
    (0, 1, -1, 0): lambda stored: np.rot90(stored, -1),
    (0, -1, -1, 0): lambda stored: np.rot90(stored.transpose(1, 0, 2), 2),
    (0, -1, 1, 0): lambda stored: np.rot90(stored),
}
"""Display matrix -> what is shown, in the order of EXIF's orientations 1 to 8."""


def corners() -> np.ndarray:
    """A picture that no turn and no mirror leaves as it is."""
    picture = np.full((64, 96, 3), 40, np.uint8)
    picture[:20, :30], picture[:20, 60:], picture[40:, :30] = (220, 30, 30), (30, 200, 30), (30, 30, 220)
    return picture


@pytest.mark.parametrize("matrix", TURNS)
def test_a_turned_or_mirrored_video_is_shown_as_players_show_it(tmp_path: Path, matrix: tuple[int, ...]) -> None:
    set_matrix(write_video(tmp_path / "v.mp4", [corners()] * 3), *matrix)
    begin, frames, _ = read(tmp_path / "v.mp4")
    expected = TURNS[matrix](corners())
    assert begin is not None
    assert (begin.height, begin.width) == expected.shape[:2]
    assert np.abs(frames[-1].pixels.array.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("write", [write_jpeg, write_png])
def test_a_picture_turned_or_mirrored_by_exif_stands_upright(tmp_path: Path, write, orientation: int) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / ("p.jpg" if write is write_jpeg else "p.png"), corners(), orientation)
    _, frames, _ = read(path)
    expected = list(TURNS.values())[orientation - 1](corners())
    assert frames[0].pixels.array.shape == expected.shape
    assert np.abs(frames[0].pixels.array.astype(int) - expected).mean() < 8


@pytest.mark.parametrize(("matrix", "shown"), [((1, 0, 0, 1), (64, 45)), ((0, 1, -1, 0), (45, 64))])
def test_pixels_that_are_not_square_are_told(tmp_path: Path, matrix: tuple[int, ...], shown: tuple[int, int]) -> None:
    path = tmp_path / "v.mp4"
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for number in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), "rgb24")))
        out.mux(stream.encode(None))
    set_matrix(path, *matrix)
    begin, frames, _ = read(path)
    assert begin is not None
    assert begin.pixel_aspect == shown
    assert {frame.pixel_aspect for frame in frames} == {shown}


def test_square_pixels_are_told_as_such(tmp_path: Path) -> None:
    begin, _, _ = read(write_video(tmp_path / "v.mp4", [numbered(1)] * 2))
    assert begin is not None
    assert begin.pixel_aspect == (1, 1)


def animated_webp(path: Path) -> None:
    with av.open(path, "w", format="webp") as out:
        stream = out.add_stream("libwebp_anim", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), "rgb24")))
        out.mux(stream.encode(None))


def jpeg_in_tiff(path: Path) -> None:
    """A little-endian TIFF whose only tag says that it is compressed as JPEG."""
    path.write_bytes(b"II*\0" + bytes([8, 0, 0, 0, 1, 0]) + bytes([3, 1, 3, 0, 1, 0, 0, 0, 7, 0, 0, 0]) + bytes(4))


def tiled_avif(path: Path) -> None:
    write_heif(path, [numbered(n, 256, 192) for n in range(4)], columns=2)


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("p.webp", animated_webp, "an animated WebP, for which there is no decoder; convert it to GIF or MP4"),
        ("p.tif", jpeg_in_tiff, "a TIFF with JPEG inside, for which there is no decoder; convert it to JPEG or PNG"),
        ("p.avif", tiled_avif, "a picture in tiles, as phones write HEIC; convert it to JPEG or PNG"),
    ],
)
def test_what_would_come_out_wrong_is_refused_in_one_line(tmp_path: Path, name: str, write, said: str) -> None:  # type: ignore[no-untyped-def]
    write(tmp_path / name)
    _, frames, end = read(tmp_path / name)
    assert (frames, end.problem) == ([], f"{tmp_path / name}: {said}")
