"""The overlay in each codec: what players need, sizes that are odd, and text that stays crisp."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import av
import numpy as np
import pytest
from media import number_of, numbered, pictures_of, write_video
from msgspec import structs

from configs.errors import ConfigError
from configs.load import load
from configs.options import TYPED, changes
from configs.sources import DecodeSettings
from configs.video import CodecName, VideoSettings
from stream.decode import decode
from stream.draw import Canvas
from stream.messages import Frame
from stream.sinks.codecs import check_codec
from stream.sinks.video import VideoSink
from stream.sources.find import find
from stream.stage import run_here

CODECS = get_args(CodecName)


def copy(source: Path, folder: Path, **settings: object) -> Path:
    """Send a source through decode and the sink."""
    folder.mkdir()
    (spec,) = find([str(source)])
    messages = decode([structs.replace(spec, folder=str(folder))], DecodeSettings(), lambda: False)
    list(run_here(messages, VideoSink(VideoSettings.model_validate(settings))))
    return folder / "overlay.mp4"


@pytest.mark.parametrize(
    ("codec", "said"), [("h264", ("h264", "avc1")), ("hevc", ("hevc", "hvc1")), ("av1", ("av1", "av01"))]
)
def test_players_are_told_the_codec_as_they_know_it(tmp_path: Path, codec: str, said: tuple[str, str]) -> None:
    """QuickTime and Safari play HEVC only as hvc1."""
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(5)], audio="aac")
    with av.open(copy(source, tmp_path / "out", codec=codec)) as made:
        context = made.streams.video[0].codec_context
        assert (context.codec.canonical_name, context.codec_tag) == said
        assert len(made.streams.audio) == 1


@pytest.mark.parametrize("codec", CODECS)
def test_frames_keep_numbers_and_uneven_times(tmp_path: Path, codec: str) -> None:
    times = np.cumsum([0.0] + [0.04, 0.1, 0.033, 0.5, 0.02, 0.25] * 3).tolist()
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(19)], times)
    shown = pictures_of(copy(source, tmp_path / "out", codec=codec))
    assert [number_of(picture) for _, picture in shown] == list(range(19))
    assert [at_s for at_s, _ in shown] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("size", "made"), [((101, 77), (102, 78)), ((3, 201), (None, 202)), ((1, 1), (None, None))])
def test_odd_and_tiny_pictures_are_padded_or_grow(
    tmp_path: Path, codec: str, size: tuple[int, int], made: tuple[int | None, int | None]
) -> None:
    """HEVC and AV1 have a smallest size, to which a picture is letterboxed."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    av.VideoFrame.from_ndarray(np.full((*size, 3), 200, np.uint8), "rgb24").save(str(folder / "1.png"))
    ((_, shown),) = pictures_of(copy(folder, tmp_path / "out", codec=codec))
    least = {"h264": 2, "hevc": 16, "av1": 64}[codec]
    assert shown.shape[:2] == tuple(side or max(least, given + 1) for side, given in zip(made, size, strict=True))
    height, width = shown.shape[:2]
    assert shown[height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1].mean() == pytest.approx(200, abs=6)


@pytest.mark.parametrize("codec", CODECS)
def test_pictures_longer_than_the_codec_allows_are_scaled_down(tmp_path: Path, codec: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    av.VideoFrame.from_ndarray(np.full((16_500, 160, 3), 200, np.uint8), "rgb24").save(str(folder / "1.png"))
    ((_, shown),) = pictures_of(copy(folder, tmp_path / "out", codec=codec))
    assert len(shown) == (16_384 if codec == "h264" else 8_192)
    assert shown.mean() == pytest.approx(200, abs=4)


@pytest.mark.parametrize("codec", CODECS)
def test_colours_survive(tmp_path: Path, codec: str) -> None:
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 30]], np.uint8)
    source = write_video(tmp_path / "v.mkv", [colours.repeat(80, 0)[None].repeat(240, 0)] * 2, codec="ffv1")
    (spec,) = find([str(copy(source, tmp_path / "out", codec=codec, crf=5))])
    frame = list(decode([spec], DecodeSettings(), lambda: False))[1]
    assert isinstance(frame, Frame)
    assert np.abs(frame.picture[120, 40::80].astype(int) - colours).max() <= 8


def counting(count: int) -> list[np.ndarray]:
    """A landscape that moves, under the small line that counts frames."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    landscape = np.asarray(av.VideoFrame.from_ndarray(noise, "rgb24").reformat(900, 600).to_ndarray())
    made = []
    for number in range(count):
        canvas = Canvas(landscape[number : number + 360, 2 * number : 2 * number + 640])
        canvas.note(f"00:{number // 25:02d}.{number % 25 * 40:03d} | frame {number} | 1 person")
        made.append(canvas.picture)
    return made


@pytest.mark.parametrize("codec", CODECS)
def test_no_digit_of_the_frame_before_shines_through(tmp_path: Path, codec: str) -> None:
    """Where the small line has changed, the share of the change that is missing; a source of few bits allows few."""
    drawn = counting(60)
    plain = write_video(tmp_path / "v.mkv", drawn, codec="ffv1")
    poor = write_video(tmp_path / "poor.mp4", drawn, crf="24")
    (spec,) = find([str(plain)])
    (folder := tmp_path / "out").mkdir()
    messages = list(decode([structs.replace(spec, folder=str(folder))], DecodeSettings(), lambda: False))
    messages[0] = structs.replace(messages[0], bit_rate=round(poor.stat().st_size * 8 / 2.4))
    list(run_here(messages, VideoSink(VideoSettings(codec=codec))))
    was = np.array(drawn, float)[:, -30:, :200].mean(-1)
    shown = np.array([picture for _, picture in pictures_of(folder / "overlay.mp4")], float)[:, -30:, :200].mean(-1)
    change, error = was[:-1] - was[1:], shown[1:] - was[1:]
    changed = np.abs(change) > 60
    left = [(e * c)[m].sum() / (c * c)[m].sum() for e, c, m in zip(error, change, changed, strict=True)]
    assert np.mean(left) < {"h264": 0.02, "hevc": 0.05, "av1": 0.02}[codec]
    assert (folder / "overlay.mp4").stat().st_size < 1.5 * poor.stat().st_size


def test_a_codec_that_ffmpeg_lacks_is_told_with_those_it_has() -> None:
    with pytest.raises(ConfigError) as caught:
        check_codec(VideoSettings(codec="hevc"), {"libx264", "libsvtav1", "hevc"})
    said = "--codec hevc: FFmpeg as installed here lacks libx265; it has encoders of h264, av1"
    assert (str(caught.value), caught.value.exit_code) == (said, 2)
    with pytest.raises(ConfigError, match=r"it has none that can be used; --no-video does without$"):
        check_codec(VideoSettings(), {"mpeg4"})
    for codec in CODECS:
        check_codec(VideoSettings(codec=codec))


@pytest.mark.parametrize("codec", CODECS)
def test_where_the_machine_has_no_encoder_of_its_own_software_does_it_and_says_so(tmp_path: Path, codec: str) -> None:
    sink = VideoSink(VideoSettings(codec=codec, encoder="hardware"))
    (note,) = sink.notes
    if "no" not in note.split():
        pytest.skip(f"this machine has one: {note}")
    software = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}[codec]
    assert note == f"this machine has no {codec} encoder of its own that works; {software} does it"
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(5)])
    made = [copy(source, tmp_path / name, codec=codec, encoder=name) for name in ("hardware", "software")]
    assert made[0].read_bytes() == made[1].read_bytes()


def test_the_range_of_the_quality_is_the_codec_s() -> None:
    assert load(None, (), changes({"crf": 60, "codec": "av1"}), TYPED).video.crf == 60
    with pytest.raises(ConfigError, match=r"^--codec, --crf: video: crf is 60; of hevc it is 51 at most$"):
        load(None, (), changes({"codec": "hevc", "crf": 60}), TYPED)
