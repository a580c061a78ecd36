"""The overlay has the source's frames, times and sound, and appears whole or not at all."""

from __future__ import annotations

import os
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import noisy, number_of, numbered, pictures_of, spoil, write_video
from msgspec import structs

from configs.errors import OutputError
from configs.sources import DecodeSettings
from configs.video import VideoSettings
from stream.decode import decode
from stream.messages import Begin, End, Frame, Message, Pixels
from stream.sinks.video import VideoSink
from stream.sources.find import find
from stream.stage import run_here


def copy(source: Path, folder: Path, **settings: object) -> Path:
    """Send a source through decode and the sink."""
    folder.mkdir(exist_ok=True)
    (spec,) = find([str(source)])
    decoding = DecodeSettings.model_validate({key: value for key, value in settings.items() if key.endswith("_s")})
    video = VideoSettings.model_validate({key: value for key, value in settings.items() if not key.endswith("_s")})
    messages = decode([structs.replace(spec, folder=str(folder))], decoding, lambda: False)
    list(run_here(messages, VideoSink(video)))
    return folder / "overlay.mp4"


def test_every_frame_is_there_at_its_time(tmp_path: Path) -> None:
    times = np.cumsum([0.0] + [0.04, 0.1, 0.033, 0.5, 0.02, 0.25] * 5).tolist()
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(31)], times)
    shown = pictures_of(copy(source, tmp_path / "out"))
    assert [number_of(picture) for _, picture in shown] == list(range(31))
    assert [at_s for at_s, _ in shown] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize(("count", "start"), [(1, 0), (2, 0), (2, 1), (3, 0), (5, 1), (40, 0), (40, 1)])
def test_the_last_picture_of_a_gif_stays_as_long_as_it_says(tmp_path: Path, count: int, start: int) -> None:
    """Also where x264 reorders frames, so that the last packet is not that of the last frame."""
    made = copy(write_gif(tmp_path / "v.gif", count, 0.9), tmp_path / "out", start_s=start / 10)
    with av.open(made) as container:
        assert container.duration / 1e6 == pytest.approx((count - 1 - start) * 0.1 + 0.9, abs=0.002)
        (video,) = container.streams.video
        assert float(video.duration * video.time_base) == pytest.approx((count - 1 - start) * 0.1 + 0.9, abs=0.002)


def write_gif(path: Path, count: int, last_s: float) -> Path:
    """Pictures of 0.1 s each, the last one longer; so alike that x264 uses B-frames."""
    slope = np.tile((np.sin(np.arange(128) * 2 * np.pi / 128) * 100 + 120).astype(np.uint8)[None, :, None], (96, 1, 3))
    with av.open(path, "w", format="gif") as out:
        stream = out.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "rgb8"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(np.roll(slope, number, 1), "rgb24").reformat(format="rgb8")
            frame.pts, frame.time_base = number * 10, Fraction(1, 100)
            for packet in stream.encode(frame):
                packet.duration = 10 if number < count - 1 else round(last_s * 100)
                out.mux(packet)
        out.mux(stream.encode(None))
    return path


def test_the_stream_says_its_frame_rate_and_each_packet_how_long_it_lasts(tmp_path: Path) -> None:
    """Tools that look into H.264 would else find the ticks of the time base, 90,000 a second."""
    source = write_video(tmp_path / "v.mp4", [noisy(n) for n in range(50)])
    with av.open(copy(source, tmp_path / "out")) as made:
        (video,) = made.streams.video
        assert (video.average_rate, video.codec_context.framerate) == (25, 25)
        assert {packet.duration for packet in made.demux(video) if packet.size} == {3600}
        assert video.duration == 50 * 3600


def test_pixels_keep_their_shape(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = [
        structs.replace(message, pixel_aspect=(64, 45)) if isinstance(message, Begin | Frame) else message
        for message in messages(tmp_path)
    ]
    list(run_here(given, VideoSink(VideoSettings())))
    with av.open(tmp_path / "out/overlay.mp4") as made:
        assert made.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
        assert (made.streams.video[0].width, made.streams.video[0].height) == (128, 96)


@pytest.mark.parametrize("shape", [(32, 16_500), (16_500, 32)])
def test_pictures_longer_than_h264_allows_are_scaled_down(tmp_path: Path, shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 200, np.uint8)
    folder = tmp_path / "pictures"
    folder.mkdir()
    av.VideoFrame.from_ndarray(picture, "rgb24").save(str(folder / "1.png"))
    _, shown = pictures_of(copy(folder, tmp_path / "out"))[0]
    assert max(shown.shape) == 16_384
    assert shown.mean() == pytest.approx(200, abs=4)


@pytest.mark.parametrize("name", ["14:30", "concat:x", os.fsdecode(b"caf\xe9")])
def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(5)], audio="aac")
    assert len(pictures_of(tmp_path / copy(source, Path(name)))) == 5


def test_it_lasts_as_long_as_the_source(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(50)])
    with av.open(copy(source, tmp_path / "out")) as made, av.open(source) as given:
        assert made.duration == pytest.approx(given.duration, abs=2000)
        assert made.streams.video[0].codec_context.name == "h264"
        assert made.streams.video[0].average_rate == pytest.approx(25, rel=1e-3)


def loudness(path: Path) -> list[tuple[float, float]]:
    """Time and loudness of each piece of the sound."""
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    return [(float(frame.time), float(np.abs(frame.to_ndarray().astype(float)).mean())) for frame in frames]


def sound_of(path: Path) -> tuple[float, float, str]:
    """First and last moment of the sound, and its codec."""
    loud = [at_s for at_s, volume in loudness(path) if volume > 0.01]
    with av.open(path) as container:
        return loud[0], loud[-1], container.streams.audio[0].codec_context.name


@pytest.mark.parametrize(
    ("name", "codec", "rate", "kept"),
    [
        ("v.mp4", "aac", 48_000, "aac"),
        ("v.ts", "aac", 44_100, "aac"),
        ("v.mkv", "libmp3lame", 48_000, "mp3float"),
        ("v.mkv", "libopus", 48_000, "opus"),
        ("v.mkv", "pcm_s16le", 48_000, "aac"),
        ("v.mkv", "pcm_s16le", 5_512, "aac"),  # a rate that AAC does not know
    ],
)
def test_the_sound_is_kept_in_time(tmp_path: Path, name: str, codec: str, rate: int, kept: str) -> None:
    source = write_video(tmp_path / name, [numbered(n) for n in range(75)], audio=codec, audio_rate=rate)
    begins_s, ends_s, made = sound_of(copy(source, tmp_path / "out"))
    source_begins_s, source_ends_s, _ = sound_of(source)
    source_starts_s = pictures_of(source)[0][0]
    assert made == kept
    assert begins_s == pytest.approx(source_begins_s - source_starts_s, abs=0.05)
    assert ends_s == pytest.approx(source_ends_s - source_starts_s, abs=0.2 if rate < 8_000 else 0.05)
    assert len(pictures_of(tmp_path / "out/overlay.mp4")) == 75


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "flac"])
def test_damaged_sound_harms_no_picture(tmp_path: Path, codec: str) -> None:
    source = write_video(tmp_path / "v.mkv", [numbered(n) for n in range(50)], audio=codec, bf="0")
    made = copy(spoil(source, tmp_path / "bad.mkv", every=3, kind="audio"), tmp_path / "out")
    assert [number_of(picture) for _, picture in pictures_of(made)] == list(range(50))


def test_a_source_whose_clock_starts_anew_plays_through(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.ts", [numbered(n) for n in range(40)], audio="aac")
    (tmp_path / "twice.ts").write_bytes(source.read_bytes() * 2)
    shown = pictures_of(copy(tmp_path / "twice.ts", tmp_path / "out"))
    assert [number_of(picture) for _, picture in shown] == [*range(40)] * 2
    assert [at_s for at_s, _ in shown] == pytest.approx([n / 25 for n in range(80)], abs=1e-3)


def test_a_part_of_the_source_has_that_part_of_the_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(100)], audio="aac")
    made = copy(source, tmp_path / "out", start_s=1.0, end_s=3.0)
    assert [number_of(picture) for _, picture in pictures_of(made)] == list(range(25, 75))
    begins_s, ends_s, _ = sound_of(made)
    assert begins_s == pytest.approx(0, abs=0.05)
    assert ends_s == pytest.approx(2, abs=0.05)
    (there,) = [volume for at_s, volume in loudness(source) if 2.0 <= at_s < 2.02]
    (here,) = [volume for at_s, volume in loudness(made) if 1.0 <= at_s < 1.02]
    assert here == pytest.approx(there, rel=0.03)


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "aac"), ("v.mkv", "pcm_s16le")])
def test_sound_goes_on_after_the_last_picture(tmp_path: Path, name: str, codec: str) -> None:
    source = write_video(tmp_path / name, [numbered(n) for n in range(25)], audio=codec, audio_longer_s=1.5)
    made = copy(source, tmp_path / "out")
    assert sound_of(made)[1] == pytest.approx(sound_of(source)[1], abs=0.05)
    assert sound_of(made)[1] > 2.3
    assert len(pictures_of(made)) == 25
    made.unlink()
    assert sound_of(copy(source, tmp_path / "out", end_s=0.8))[1] == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(("name", "codec"), [("v.mp4", "aac"), ("v.mkv", "pcm_s16le"), ("v.mkv", "libopus")])
def test_every_track_of_sound_is_kept(tmp_path: Path, name: str, codec: str) -> None:
    source = write_video(tmp_path / name, [numbered(n) for n in range(50)], audio=codec, tracks=3)
    with av.open(copy(source, tmp_path / "out")) as made:
        assert len(made.streams.audio) == 3
        lasts_s = [float(stream.duration * stream.time_base) for stream in made.streams.audio]
    assert lasts_s == pytest.approx([2.0] * 3, abs=0.1)


def test_the_language_of_a_track_is_kept(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(10)], audio="aac", tracks=2)
    with av.open(source) as given, av.open(tmp_path / "w.mkv", "w") as out:
        streams = [out.add_stream_from_template(stream) for stream in given.streams]
        streams[1].metadata["language"], streams[2].metadata["language"] = "fra", "deu"
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    with av.open(copy(tmp_path / "w.mkv", tmp_path / "out")) as made:
        assert [stream.language for stream in made.streams.audio] == ["fra", "deu"]


def test_sound_is_left_out_on_request(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", [numbered(n) for n in range(5)], audio="aac")
    with av.open(copy(source, tmp_path / "out", audio=False)) as made:
        assert len(made.streams.audio) == 0


def test_odd_sides_are_padded_and_nothing_moves(tmp_path: Path) -> None:
    picture = np.zeros((51, 33, 3), np.uint8)
    picture[:, ::8] = 250
    source = write_video(tmp_path / "v.mkv", [picture] * 3, codec="ffv1")
    _, shown = pictures_of(copy(source, tmp_path / "out", crf=1))[1]
    assert shown.shape == (52, 34, 3)
    assert np.abs(shown[:51, :33].astype(int) - picture).mean() < 12


def test_a_picture_of_another_size_is_letterboxed(tmp_path: Path) -> None:
    small = write_video(tmp_path / "s.ts", [numbered(n) for n in range(5)])
    tall = write_video(tmp_path / "t.ts", [np.full((256, 64, 3), 200, np.uint8)] * 5)
    (tmp_path / "both.ts").write_bytes(small.read_bytes() + tall.read_bytes())
    shown = [picture for _, picture in pictures_of(copy(tmp_path / "both.ts", tmp_path / "out"))]
    assert len(shown) == 10
    assert shown[-1].shape == (96, 128, 3)
    assert shown[-1][:, 60:68].mean() > 180
    assert shown[-1][:, :40].mean() < 20


def test_colours_survive(tmp_path: Path) -> None:
    for height in (240, 720):
        colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [220, 220, 30]], np.uint8)
        picture = np.repeat(np.repeat(colours[None], height, 0), 80, 1)
        source = write_video(tmp_path / f"{height}.mkv", [picture] * 2, codec="ffv1")
        made = copy(source, tmp_path / f"out{height}", crf=5)
        (spec,) = find([str(made)])
        frame = list(decode([spec], DecodeSettings(), lambda: False))[1]
        assert isinstance(frame, Frame)
        assert np.abs(frame.pixels.array[height // 2, 40::80].astype(int) - colours).max() <= 8


def test_its_size_is_near_the_source_s(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    field = rng.integers(0, 256, (400, 600, 3), np.uint8)
    moving = [field[n : n + 240, 2 * n : 2 * n + 320] for n in range(100)]
    source = write_video(tmp_path / "v.mp4", moving, crf="32")
    assert copy(source, tmp_path / "out").stat().st_size < 1.6 * source.stat().st_size


def messages(folder: Path) -> list[Message]:
    (spec,) = find([str(write_video(folder / "v.mp4", [numbered(n) for n in range(10)]))])
    return list(decode([structs.replace(spec, folder=str(folder / "out"))], DecodeSettings(), lambda: False))


def test_an_ended_input_without_an_end_still_gives_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    list(run_here(messages(tmp_path)[:-1], VideoSink(VideoSettings())))
    assert len(pictures_of(tmp_path / "out/overlay.mp4")) == 10


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sink = VideoSink(VideoSettings())
    for message in messages(tmp_path)[:5]:
        list(sink.process(message))
    sink.close()
    assert list((tmp_path / "out").iterdir()) == []


def test_a_source_without_frames_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    begin, *_, end = messages(tmp_path)
    assert isinstance(begin, Begin)
    assert isinstance(end, End)
    list(run_here([begin, end, End("never opened", 0, problem="?")], VideoSink(VideoSettings())))
    assert list((tmp_path / "out").iterdir()) == []


def test_two_sources_may_be_written_side_by_side(tmp_path: Path) -> None:
    given = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        given.append(messages(tmp_path / name))
        (tmp_path / name / "out").mkdir()
    renamed = [
        structs.replace(m, spec=structs.replace(m.spec, name="w"))
        if isinstance(m, Begin)
        else structs.replace(m, source="w")
        for m in given[1]
        if isinstance(m, Begin | Frame | End)
    ]
    mixed = [message for pair in zip(given[0], renamed, strict=True) for message in pair]
    list(run_here(mixed, VideoSink(VideoSettings())))
    for name in ("a", "b"):
        assert [number_of(picture) for _, picture in pictures_of(tmp_path / name / "out/overlay.mp4")] == list(
            range(10)
        )


def test_a_folder_that_is_gone_gives_one_line(tmp_path: Path) -> None:
    given = messages(tmp_path)
    with pytest.raises(OutputError, match=r"out/overlay\.mp4 cannot be written: No such file or directory; free space"):
        list(run_here(given, VideoSink(VideoSettings())))


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95, 0.999])
def test_a_full_disk_gives_one_line_and_leaves_nothing(tmp_path: Path, share: float) -> None:
    """A limit on the size of files stands in for the disk's end."""
    source = write_video(tmp_path / "v.mp4", [noisy(n) for n in range(40)], audio="aac")
    size = copy(source, tmp_path / "out").stat().st_size
    (tmp_path / "out/overlay.mp4").unlink()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), most))
    try:
        with pytest.raises(OutputError, match=r"out/overlay\.mp4 cannot be written: File too large; free space"):
            copy(source, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_name_that_is_taken_gives_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out/overlay.mp4").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"out/overlay\.mp4 cannot be written: Is a directory"):
        list(run_here(messages(tmp_path), VideoSink(VideoSettings())))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["overlay.mp4"]


def test_an_interrupted_source_gives_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = messages(tmp_path)[:6]
    list(run_here([*given, End("v", 5, stopped=True)], VideoSink(VideoSettings())))
    with av.open(tmp_path / "out/overlay.mp4") as made:
        assert made.duration == pytest.approx(200_000, abs=2000)


def test_the_last_frame_is_shown_to_the_source_s_end(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    begin, *rest = messages(tmp_path)
    assert isinstance(begin, Begin)
    given = [structs.replace(begin, end_ns=2_500_000_000), *rest]
    list(run_here(given, VideoSink(VideoSettings())))
    with av.open(tmp_path / "out/overlay.mp4") as made:
        assert made.duration == pytest.approx(2_500_000, abs=2000)


def test_a_picture_may_be_overwritten_once_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sink = VideoSink(VideoSettings())
    for message in messages(tmp_path):
        if isinstance(message, Frame):
            message = structs.replace(message, pixels=Pixels(message.pixels.array.copy()))
        list(sink.process(message))
        if isinstance(message, Frame):
            message.pixels.array[:] = 0
    assert [number_of(picture) for _, picture in pictures_of(tmp_path / "out/overlay.mp4")] == list(range(10))


def test_a_still_picture_may_be_given_read_only(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    given = messages(tmp_path)
    for message in given:
        if isinstance(message, Frame):
            message.pixels.array.flags.writeable = False
            assert isinstance(message.pixels, Pixels)
    list(run_here(given, VideoSink(VideoSettings())))
    assert len(pictures_of(tmp_path / "out/overlay.mp4")) == 10
