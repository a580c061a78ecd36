from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from configs.schema import SmoothSettings, TrackSettings
from engines.ops.people import People, nobody
from stream.messages import Begin, End, Frame, Message, Pixels, Poses, SourceSpec, Tracks
from stream.stage import run_here
from stream.track import Track

PICTURE = Pixels(np.zeros((2, 2, 3), np.uint8))


def begin(source: str = "a", kind: Literal["file", "images"] = "file") -> Begin:
    return Begin(SourceSpec(source, kind, source), 640, 480, 25.0)


def poses(index: int, xs: list[float], source: str = "a", epoch: int = 0, width: int = 640) -> Poses:
    """Make a frame with people, scored 0.9, who stand side by side."""
    frame = Frame(source, epoch, index, index * 40_000_000, 0, 0, width, 480, PICTURE)
    if not xs:
        return Poses(frame, nobody())
    x = np.array(xs)
    boxes = np.stack([x - 20, 0 * x, x + 20, 0 * x + 120], 1)
    pose = np.random.default_rng(0).uniform([-20, 0], [20, 120], (17, 2))
    xy, sure = pose + np.stack([x, 0 * x], 1)[:, None], np.full((len(x), 17), 0.7)
    return Poses(frame, People(*(np.array(a, np.float32) for a in (boxes, np.full(len(x), 0.9), xy, sure, sure))))


def ids(*messages: Message) -> list[tuple[str, list[int]]]:
    """Run the stage and give each frame's source and ids."""
    out = run_here(messages, Track(TrackSettings(confirm_s=0.08), SmoothSettings()))
    return [(message.frame.source, message.ids.tolist()) for message in out if isinstance(message, Tracks)]


def test_each_frame_gives_its_tracks_between_begin_and_end() -> None:
    start, first, last, end = begin(), poses(0, [100, 300]), poses(1, []), End("a", 2)
    out = list(run_here([start, first, last, end], Track(TrackSettings(), SmoothSettings())))
    assert out[0] is start
    assert out[3] is end
    assert isinstance(out[1], Tracks)
    assert isinstance(out[2], Tracks)
    assert out[1].frame is first.frame
    assert (out[1].ids.tolist(), out[2].ids.tolist()) == ([1, 2], [])
    assert (out[1].ids.dtype, out[1].smooth.dtype, out[2].smooth.shape) == (np.int64, np.float32, (0, 17, 2))


def test_each_source_counts_from_one_and_knows_nothing_of_the_others() -> None:
    found = ids(begin("a"), begin("b"), poses(0, [100, 300], "a"), poses(0, [300], "b"), poses(1, [300], "a"))
    assert found == [("a", [1, 2]), ("b", [1]), ("a", [2])]


def test_a_source_that_begins_again_starts_afresh() -> None:
    assert ids(begin(), poses(5, [100, 300]), End("a", 1), begin(), poses(0, [300]))[-1] == ("a", [1])


def test_in_a_folder_of_pictures_everybody_is_shown_at_first_sight() -> None:
    pictures = [poses(0, [100]), poses(1, [300]), poses(2, [500])]
    assert ids(begin(kind="images"), *pictures) == [("a", [1]), ("a", [2]), ("a", [3])]
    assert ids(begin(kind="file"), *pictures) == [("a", [1]), ("a", []), ("a", [])]


@pytest.mark.parametrize(("width", "after"), [(640, [1]), (320, [2])])
def test_a_new_epoch_keeps_people_only_in_a_picture_of_the_same_size(width: int, after: list[int]) -> None:
    broken = poses(0, [100], epoch=1, width=width)
    assert ids(begin(), poses(700, [100]), poses(701, [100]), broken)[-1] == ("a", after)


def test_each_new_epoch_is_noticed_once() -> None:
    frames = [poses(n % 3, [100], epoch=n // 3) for n in range(9)]
    late = poses(3, [100, 300], epoch=2)  # not a first frame, so the newcomer waits
    assert ids(begin(), *frames, late) == [("a", [1])] * 10
