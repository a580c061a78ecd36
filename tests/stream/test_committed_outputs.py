"""Outputs that another run continues after any commit are the bytes of an uninterrupted run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from media import noisy, number_of, numbered, pictures_of, write_video
from msgspec import structs

from configs.errors import OutputError
from configs.sources import DecodeSettings
from configs.video import CodecName, VideoSettings
from engines.ops.people import People
from stream.decode import decode
from stream.messages import Cut, End, Frame, Message, SourceSpec, Tracks
from stream.runtime.metrics import Metered, StageMeter
from stream.sinks.records import RecordsSink
from stream.sinks.video import VideoSink
from stream.sources.find import find
from stream.stage import Chain, Stage

COUNT = 37


def even(folder: Path) -> Path:
    return write_video(folder / "v.mp4", [noisy(n) for n in range(COUNT)], audio="aac")


def uneven(folder: Path) -> Path:
    """Frames that are close together, then far apart: their packets' times cross where two segments meet."""
    times = np.cumsum([0.01, 0.01, 0.02, 1.0, 0.9, 0.03, 0.7] * 6)[:COUNT].tolist()
    return write_video(folder / "v.mkv", [noisy(n) for n in range(COUNT)], times, audio="libopus")


def two_clocks(folder: Path) -> Path:
    part = write_video(folder / "part.ts", [numbered(n) for n in range(COUNT)], audio="aac").read_bytes()
    (folder / "v.ts").write_bytes(part * 2)
    return folder / "v.ts"


MADE = {"even": even, "uneven": uneven, "two clocks": two_clocks}


class Seen(Stage):
    """Frame in, Tracks out: one person whose place is the frame's number."""

    def process(self, message: Message) -> Iterator[Message]:
        if not isinstance(message, Frame):
            yield message
            return
        at = np.full((1, 17, 2), message.index, np.float32)
        people = People(np.zeros((1, 4), np.float32), np.ones(1, np.float32), at, *np.ones((2, 1, 17), np.float32))
        yield Tracks(message, people, np.ones(1, np.int64), at)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(
    spec: SourceSpec, every: int, until: int | None = None, video: VideoSettings | None = None, **settings: float
) -> list[Cut]:
    """Send a source through decode and the sinks, which are left as they are after a number of frames."""
    sink = VideoSink(video or VideoSettings(), every)
    stages = {"seen": Seen(), "records": RecordsSink(), "video": sink}
    chain = Chain([Metered(name, stage, StageMeter()) for name, stage in stages.items()])
    cuts = []
    try:
        for message in decode([spec], DecodeSettings.model_validate(settings), lambda: False, cut_every=every):
            cuts += [given for given in chain.process(message) if isinstance(given, Cut)]
            if isinstance(message, Frame) and message.index + 1 == until:
                break
    finally:
        chain.close()
    return cuts


def placed(source: Path, folder: Path) -> SourceSpec:
    folder.mkdir()
    (spec,) = find([str(source)])
    return structs.replace(spec, folder=str(folder))


@pytest.mark.parametrize(
    ("codec", "kind", "every", "settings"),
    [
        ("h264", "even", 8, {}),
        ("h264", "even", 1, {"start_s": 0.3, "end_s": 0.8}),
        ("h264", "uneven", 8, {}),
        ("h264", "uneven", 2, {"start_s": 0.3, "end_s": 3}),
        ("h264", "two clocks", 8, {}),
        ("hevc", "even", 8, {}),
        ("hevc", "uneven", 8, {}),
        ("av1", "even", 8, {}),
        ("av1", "uneven", 8, {}),
    ],
)
def test_outputs_continued_after_any_commit_are_those_of_the_whole_run(
    tmp_path: Path, codec: CodecName, kind: str, every: int, settings: dict[str, float]
) -> None:
    source, video = MADE[kind](tmp_path), VideoSettings(codec=codec)
    cuts = run(placed(source, tmp_path / "whole"), every, video=video, **settings)
    whole = outputs(tmp_path / "whole")
    assert sorted(whole) == ["keypoints.jsonl", "overlay.mp4"]
    for number, cut in enumerate(cuts[:: max(len(cuts) // 4, 1)]):
        spec = placed(source, tmp_path / f"{number}")
        run(spec, every, until=cut.index + max(every // 2, 1), video=video, **settings)
        run(structs.replace(spec, states=cut.states), every, video=video, **settings)
        assert outputs(tmp_path / f"{number}") == whole, f"continued before frame {cut.index}"


@pytest.mark.parametrize(("codec", "kind"), [*(("h264", kind) for kind in MADE), ("hevc", "uneven"), ("av1", "uneven")])
def test_segments_play_as_one_video_at_the_source_s_times(tmp_path: Path, codec: CodecName, kind: str) -> None:
    source = MADE[kind](tmp_path)
    for every in (0, 1, 5, 8):
        run(placed(source, tmp_path / f"{every}"), every, video=VideoSettings(codec=codec))
    one, *others = (pictures_of(tmp_path / f"{every}/overlay.mp4") for every in (0, 1, 5, 8))
    assert len(one) == 2 * COUNT if kind == "two clocks" else COUNT
    for other in others:
        assert [at_s for at_s, _ in other] == pytest.approx([at_s for at_s, _ in one], abs=1e-4)
        assert [number_of(picture) for _, picture in other] == [number_of(picture) for _, picture in one]
    lengths = {every: length(tmp_path / f"{every}/overlay.mp4") for every in (0, 1, 5, 8)}
    assert lengths == pytest.approx(dict.fromkeys(lengths, lengths[0]), abs=0.03)


def length(path: Path) -> float:
    with av.open(path) as container:
        return container.duration / 1e6


def test_each_committed_segment_can_be_played(tmp_path: Path) -> None:
    spec = placed(even(tmp_path), tmp_path / "out")
    run(spec, every=8, until=30)
    segments = sorted((tmp_path / "out/.segments").iterdir())
    assert [path.name for path in segments] == [f"overlay-00000{n}.mp4" for n in range(3)]
    shown = [number_of(picture) for path in segments for _, picture in pictures_of(path)]
    assert shown == list(range(24))


def test_a_run_stopped_early_shows_all_it_has_and_can_be_continued(tmp_path: Path) -> None:
    source = even(tmp_path)
    run(placed(source, tmp_path / "whole"), 8)
    spec, every = placed(source, tmp_path / "out"), 8
    stages = {"seen": Seen(), "records": RecordsSink(), "video": VideoSink(VideoSettings(), every)}
    chain = Chain([Metered(name, stage, StageMeter()) for name, stage in stages.items()])
    given: list[Message] = []
    messages = decode([spec], DecodeSettings(), lambda: len(given) > 21, cut_every=every)
    for message in messages:
        given += chain.process(message)
    chain.close()
    cut = [message for message in given if isinstance(message, Cut)][-1]
    ended = given[-1]
    assert isinstance(ended, End)
    assert ended.stopped
    assert [number_of(picture) for _, picture in pictures_of(tmp_path / "out/overlay.mp4")] == list(range(ended.frames))
    run(structs.replace(spec, states=cut.states), every)
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def spoil_line(folder: Path) -> None:
    path = folder / "keypoints.jsonl.part"
    path.write_bytes(path.read_bytes().replace(b'"index":12', b'"index":99'))


def lose_segment(folder: Path) -> None:
    (folder / ".segments/overlay-000001.mp4").unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (spoil_line, r"keypoints\.jsonl\.part was changed since, so the run cannot go on; --overwrite begins anew$"),
        (lose_segment, r"overlay-000001\.mp4 is gone, without which the run cannot go on; --overwrite begins anew$"),
    ],
)
def test_what_was_committed_and_is_not_there_any_more_is_told(tmp_path: Path, harm, said: str) -> None:
    spec = placed(even(tmp_path), tmp_path / "out")
    cuts = run(spec, 8, until=20)
    harm(tmp_path / "out")
    with pytest.raises(OutputError, match=said):
        run(structs.replace(spec, states=cuts[-1].states), 8)


def test_a_segment_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    spec = placed(even(tmp_path), tmp_path / "out")
    cuts = run(spec, 8, until=20)
    path = tmp_path / "out/.segments/overlay-000000.mp4"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OutputError, match=r"out/overlay\.mp4 cannot be written: Invalid data"):
        run(structs.replace(spec, states=cuts[-1].states), 8)
    assert not list((tmp_path / "out").glob("overlay*"))


def test_a_run_begun_by_an_encoder_that_is_gone_is_not_continued_by_another(tmp_path: Path) -> None:
    spec = placed(even(tmp_path), tmp_path / "out")
    cuts = run(spec, 8, until=20)
    said = (
        r"out/overlay\.mp4 was begun by the encoder libx264, which is not to be had any more; --overwrite begins anew$"
    )
    with pytest.raises(OutputError, match=said):
        run(structs.replace(spec, states=cuts[-1].states), 8, video=VideoSettings(codec="hevc"))
