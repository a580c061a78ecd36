"""Tasks come in order, are given again when a runner is lost, and follow from each other."""

from __future__ import annotations

import pytest

from configs.errors import PosestreamError
from stream.distributed.dispatch import Dispatch
from stream.distributed.tasks import Files, Finish, Outcome, Part, Plan
from stream.messages import SourceSpec
from stream.sources.ranges import FrameRange

SPEC = SourceSpec("a", "file", "/a.mp4", "/out", end_s=9.0)
ONE, TWO = Files((SourceSpec("one", "file", "/1", "/o/1"),)), Files((SourceSpec("two", "file", "/2", "/o/2"),))
DONE = Outcome()


def parts(count: int) -> tuple[Part, ...]:
    cut = SourceSpec("a", "file", "/a.mp4", "/out", {"decode": b"x"}, end_s=1.0)
    return tuple(Part(cut, FrameRange(8 * at, 8, b"x", 1.0)) for at in range(count))


def test_each_task_is_with_one_runner_and_all_are_done_once() -> None:
    dispatch = Dispatch([ONE, TWO])
    assert [dispatch.give(1), dispatch.give(2), dispatch.give(3)] == [ONE, TWO, None]
    dispatch.done(2, DONE)
    assert not dispatch.is_over
    dispatch.done(1, DONE)
    assert dispatch.is_over


def test_a_lost_runner_s_task_comes_before_the_others_with_the_reason() -> None:
    dispatch = Dispatch([ONE, TWO])
    dispatch.give(1)
    said = dispatch.lost(1, "its node is gone")
    assert said == "one: its node is gone; goes on elsewhere at the last commit (attempt 2 of 5)"
    assert dispatch.give(2) == ONE


def test_a_task_that_gets_nowhere_is_given_up_and_one_that_gets_on_is_not() -> None:
    slow, vain = Dispatch([ONE]), Dispatch([ONE])
    for runner in range(20):
        slow.give(runner)
        slow.advance(runner, 10 + runner)
        slow.lost(runner, "killed")
    for runner in range(4):
        vain.give(runner)
        vain.advance(runner, 10)
        vain.lost(runner, "killed")
    vain.give(5)
    with pytest.raises(PosestreamError, match=r"^one: given up after 5 attempts: killed$"):
        vain.lost(5, "killed")


def test_a_recording_in_parts_is_finished_whole_once_all_are_done_in_any_order() -> None:
    dispatch = Dispatch([Plan(SPEC, 3), TWO])
    assert dispatch.waiting == 5  # the runners for its parts can be asked for at once
    dispatch.give(1)
    assert dispatch.waiting == 4
    assert dispatch.done(1, Outcome(parts=parts(3))) == "a: its frames are shared out in 3 parts"
    assert [dispatch.give(runner) for runner in (1, 2, 3)] == list(parts(3))
    assert [dispatch.done(3, DONE), dispatch.done(1, DONE)] == ["", ""]
    assert dispatch.give(1) == TWO
    assert "people are found in all its frames" in dispatch.done(2, DONE)
    assert dispatch.give(2) == Finish(SPEC)


def test_a_recording_that_does_not_fit_its_plan_is_done_whole_by_one() -> None:
    dispatch = Dispatch([Plan(SPEC, 4)])
    dispatch.give(1)
    dispatch.done(1, Outcome(parts=parts(4)))
    dispatch.give(1)
    dispatch.give(2)
    assert dispatch.done(1, Outcome(unfit="3 frames are damaged")) == "a is done whole: 3 frames are damaged"
    assert dispatch.done(2, DONE) == ""
    assert dispatch.give(1) == Files((SPEC,))
    assert dispatch.give(2) is None


def test_a_recording_whose_packets_do_not_tell_its_frames_is_done_whole() -> None:
    dispatch = Dispatch([Plan(SPEC, 4)])
    dispatch.give(1)
    assert dispatch.done(1, DONE).startswith("a is done whole: ")
    assert dispatch.give(1) == Files((SPEC,))
