"""Frames into batches and back: order a source, nothing mixed where nothing may be lost, nobody left waiting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from msgspec import structs

from configs.schema import EngineSettings, InferSettings
from stream.infer import Infer
from stream.messages import Begin, End, Frame, Message, Pixels, Poses, SourceSpec

PORTRAIT = np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))[::2, ::2]
ENGINE = EngineSettings(model="lite", backend="eager", imgsz=128)


class Noted(Infer):
    """Writes down which frames go through the network together."""

    def __init__(self, batch_max: int, slots: int = 8) -> None:
        super().__init__(ENGINE, InferSettings(batch_max=batch_max), slots, now_ns=lambda: self.now_ns)
        self.now_ns = 0
        self.batches: list[int] = []
        engine: Any = self._engine

        def noted(frames: Sequence[np.ndarray], seeds: Sequence[int]) -> Any:
            self.batches.append(len(frames))
            return engine(frames, seeds)

        self._engine = noted  # type: ignore[assignment]


def begin(source: str, live: bool) -> Begin:
    return Begin(SourceSpec(source, "file", source), 256, 300, 25.0, live=live)


def frame(source: str, index: int) -> Frame:
    # Each frame is another picture, so that people handed to the wrong one would show.
    shifted = np.roll(PORTRAIT, 9 * index, axis=1)
    return Frame(source, 0, index, 0, 0, 0, shifted.shape[1], shifted.shape[0], Pixels(shifted))


def through(stage: Infer, *messages: Message) -> list[Message]:
    return [given for message in messages for given in stage.process(message)]


def names(messages: Sequence[Message]) -> list[str]:
    return [f"{m.frame.source}{m.frame.index}" if isinstance(m, Poses) else type(m).__name__ for m in messages]


def test_live_frames_of_all_sources_share_a_batch_and_keep_their_order() -> None:
    stage = Noted(batch_max=4)
    given = through(stage, begin("a", True), begin("b", True), *(frame(s, n) for n in range(2) for s in "ab"))
    assert names(given) == ["Begin", "Begin", "a0", "b0", "a1", "b1"]
    assert stage.batches == [4]


def test_live_frames_go_on_as_soon_as_nothing_more_waits() -> None:
    stage = Noted(batch_max=4)
    assert names(through(stage, begin("a", True), frame("a", 0))) == ["Begin"]
    assert names(list(stage.pause())) == ["a0"]
    assert list(stage.pause()) == []
    assert stage.batches == [1]


def test_a_source_that_is_seldom_heard_of_does_not_wait_behind_a_busy_one() -> None:
    stage = Noted(batch_max=3)
    messages = [begin("a", True), begin("b", True), frame("a", 0), frame("b", 0), *(frame("a", n) for n in range(1, 5))]
    assert names(through(stage, *messages)) == ["Begin", "Begin", "a0", "b0", "a1", "a2", "a3", "a4"]


def test_what_loses_nothing_is_batched_by_itself_and_does_not_depend_on_pauses() -> None:
    stage = Noted(batch_max=2)
    given = through(stage, begin("a", False), begin("b", False), frame("a", 0), frame("b", 0))
    assert list(stage.pause()) == []
    given += through(stage, frame("a", 1), frame("a", 2), End("a", 3), frame("b", 1))
    assert names(given) == ["Begin", "Begin", "a0", "a1", "a2", "End", "b0", "b1"]
    assert stage.batches == [2, 1, 2]


def test_live_frames_do_not_wait_for_each_other_while_a_file_keeps_the_network_busy() -> None:
    stage = Noted(batch_max=2)
    messages = [begin("file", False), begin("live", True), frame("live", 0), frame("file", 0), frame("file", 1)]
    assert names(through(stage, *messages)) == ["Begin", "Begin", "live0", "file0", "file1"]
    assert stage.batches == [1, 2]


def test_what_waits_when_the_input_ends_is_given() -> None:
    stage = Noted(batch_max=8)
    through(stage, begin("a", False), begin("c", True), frame("a", 0), frame("c", 0))
    assert sorted(names(list(stage.flush()))) == ["a0", "c0"]


@pytest.mark.parametrize("live", [True, False])
def test_each_frame_gets_its_own_people(live: bool) -> None:
    alone, together = Noted(batch_max=1), Noted(batch_max=4)
    messages = [begin("a", live), *(frame("a", n) for n in range(4))]
    for one, other in zip(through(alone, *messages)[1:], through(together, *messages)[1:], strict=True):
        assert isinstance(one, Poses)
        assert isinstance(other, Poses)
        np.testing.assert_allclose(one.people.boxes, other.people.boxes, atol=1e-2)
    assert (alone.batches, together.batches) == ([1] * 4, [4])


def test_on_a_cpu_in_eager_torch_frames_are_not_held_back() -> None:
    stage = Infer(ENGINE, InferSettings(), slots=8)
    assert names(through(stage, begin("a", False), frame("a", 0))) == ["Begin", "a0"]


def test_no_more_frames_are_waited_for_than_there_can_be() -> None:
    stage = Noted(batch_max=8, slots=2)
    assert names(through(stage, begin("a", False), frame("a", 0), frame("a", 1))) == ["Begin", "a0", "a1"]
    assert stage.batches == [2]


def test_a_live_frame_that_grew_too_old_is_dropped_and_the_newest_is_not() -> None:
    stage = Noted(batch_max=2)
    stage.now_ns = 1_000_000_000
    old, new = (structs.replace(frame("a", n), captured_ns=at) for n, at in enumerate((400_000_000, 600_000_000)))
    given = through(stage, begin("a", True), old, new)
    assert names(given) == ["Begin", "Drop", "a1"]
    assert (given[1].frame.index, given[1].cause) == (0, "late")
    assert stage.batches == [1]


def test_a_frame_of_a_file_is_never_too_old() -> None:
    stage = Noted(batch_max=1)
    stage.now_ns = 10**12
    assert names(through(stage, begin("a", False), frame("a", 0))) == ["Begin", "a0"]


def test_a_frame_that_is_in_error_has_nobody_and_is_not_looked_at() -> None:
    stage = Noted(batch_max=4)
    bad = structs.replace(frame("a", 1), flags=("error",))
    given = through(stage, begin("a", False), frame("a", 0), bad, frame("a", 2), frame("a", 3))
    assert names(given) == ["Begin", "a0", "a1", "a2", "a3"]
    assert stage.batches == [3]
    assert [len(poses.people.scores) > 0 for poses in given[1:]] == [True, False, True, True]


def test_frames_of_a_source_whose_batch_killed_the_network_are_seen_one_by_one() -> None:
    stage = Noted(batch_max=4)
    opened = begin("a", False)
    opened = structs.replace(opened, spec=structs.replace(opened.spec, alone=True))
    given = through(stage, opened, *(frame("a", n) for n in range(3)), begin("b", False), frame("b", 0))
    assert names(given) == ["Begin", "a0", "a1", "a2", "Begin"]
    assert stage.batches == [1, 1, 1]


def spreads(*messages: Message, batch_max: int = 1) -> dict[str, bytes]:
    """How sure each frame's keypoints are, by source and number of the frame."""
    engine = ENGINE.model_copy(update={"uncertainty": "mc", "mc_passes": 3})
    stage = Infer(engine, InferSettings(batch_max=batch_max), 8)
    given = [each for each in (*through(stage, *messages), *stage.flush()) if isinstance(each, Poses)]
    assert all(each.people is not None and each.people.spread_px is not None for each in given)
    return {f"{each.frame.source}{each.frame.index}": each.people.spread_px.tobytes() for each in given}


def test_how_sure_a_frame_is_depends_on_the_frame_alone_not_on_who_looks_at_it() -> None:
    frames = [frame("a", index) for index in range(3)]
    whole = spreads(*frames)
    assert whole == spreads(frames[1], frames[2]) | spreads(frames[0]), "as two workers share them"
    assert len(set(whole.values())) == 3
    same_picture = structs.replace(frames[0], index=1)
    assert spreads(same_picture)["a1"] != whole["a0"], "chance plays anew in each frame"
    assert spreads(structs.replace(frames[0], source="b"))["b0"] != whole["a0"]
