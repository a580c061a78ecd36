"""A pool from both ends: who gets what, and that all comes out once and in order, whoever was faster."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.figures import StageFigures
from stream.messages import Begin, Cut, Drop, End, Frame, Message, SourceSpec, Status
from stream.runtime.in_order import InOrder
from stream.runtime.spread import Spread


def frame(source: str, index: int) -> Frame:
    return Frame(source, 0, index, index, 0, 0, 4, 4, None)


def begin(source: str, live: bool = False) -> Begin:
    return Begin(SourceSpec(source, "file", source), 4, 4, 25.0, live=live)


def of_a_source(name: str, frames: int, cut_every: int) -> list[Message]:
    given: list[Message] = [begin(name)]
    for index in range(frames):
        given.append(frame(name, index) if index % 5 else Drop(frame(name, index), "late"))
        if (index + 1) % cut_every == 0:
            given.append(Cut(name, index + 1))
    return [*given, End(name, frames)]


def without_order(message: Message) -> str:
    return repr(message).replace(f"order={_order(message)}", "order=0")


def _order(message: Message) -> int:
    return message.frame.order if isinstance(message, Drop) else getattr(message, "order", 0)


SOURCES = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), min_size=1, max_size=4)


@given(SOURCES, st.integers(2, 4), st.integers(1, 3), st.randoms(use_true_random=False))
def test_whoever_is_faster_all_comes_out_once_and_in_order(
    sources: list[tuple[int, int]], workers: int, together: int, chance: object
) -> None:
    streams = [of_a_source(f"s{n}", *each) for n, each in enumerate(sources)]
    spread, in_order = Spread(workers), InOrder(workers)
    spread.together = together
    queues: list[deque[Message]] = [deque() for _ in range(workers)]
    given = [message for stream in streams for message in stream]
    for message in given:
        shared, receivers = spread.shared(message, lambda worker: len(queues[worker]))
        for receiver in receivers:
            queues[receiver].append(shared)
    out: list[Message] = []
    while any(queues):
        queue = chance.choice([queue for queue in queues if queue])  # type: ignore[attr-defined]
        out += in_order.process(queue.popleft())
    assert not list(in_order.flush())
    for n, stream in enumerate(streams):
        mine = [without_order(message) for message in out if f"'s{n}'" in repr(message)]
        assert mine == [without_order(message) for message in stream]
    assert len(out) == len(given)


def test_frames_go_to_the_worker_that_has_the_fewest_and_in_turn_where_all_have_as_many() -> None:
    spread, held = Spread(3), [5, 0, 2]
    assert spread.shared(begin("a"), held.__getitem__)[1] == range(3)
    assert _receivers(spread, 2, held) == [1, 1]
    assert _receivers(spread, 6, [1, 1, 1]) == [2, 0, 1, 2, 0, 1]


def test_what_a_worker_works_on_at_once_comes_to_it_in_a_row() -> None:
    spread = Spread(2)
    spread.together = 3
    assert _receivers(spread, 7, [0, 0]) == [1, 1, 1, 0, 0, 0, 1]
    spread.shared(Cut("a", 7), lambda _: 0)  # the workers give what they hold: the next batch begins anew
    assert _receivers(spread, 3, [0, 0]) == [0, 0, 0]


def test_a_live_source_stays_with_one_worker() -> None:
    spread = Spread(2)
    for name in ("a", "b", "c"):
        spread.shared(begin(name, live=True), lambda _: 0)
    stays = [[spread.shared(frame(name, n), [9, 0].__getitem__)[1] for n in range(3)] for name in ("a", "b", "c")]
    assert stays == [[(0,)] * 3, [(1,)] * 3, [(0,)] * 3]


def test_an_end_has_the_figures_of_all_workers() -> None:
    in_order = InOrder(2)
    figures = [StageFigures(30, 3.0, 10, 20, 30, {"late": 1}), StageFigures(10, 1.0, 30, 40, 50, {"torn": 2})]
    assert not list(in_order.process(End("a", 40, stages={"infer": figures[0], "decode": StageFigures(40)})))
    (end,) = in_order.process(End("a", 40, stages={"infer": figures[1]}))
    assert end.stages["infer"] == StageFigures(40, 4.0, 15, 25, 35, {"late": 1, "torn": 2})


def test_how_a_source_is_does_not_wait_for_its_frames() -> None:
    status = Status("a", "reconnecting")
    assert list(InOrder(2).process(status)) == [status]


@pytest.mark.parametrize("missing", [2, 0])
def test_when_a_run_ends_early_what_waits_is_given_in_order(missing: int) -> None:
    in_order = InOrder(2)
    numbered = [frame("a", n) for n in (4, 1, 3, 0, 2) if n != missing]
    numbered = [_with_order(each) for each in numbered]
    given = [message for each in numbered for message in in_order.process(each)]
    given += in_order.process(End("a", 5, order=5))
    given += in_order.flush()
    assert [_order(message) for message in given] == [n for n in range(6) if n != missing]


def _with_order(each: Frame) -> Frame:
    return Frame(each.source, 0, each.index, 0, 0, 0, 4, 4, None, order=each.index)


def _receivers(spread: Spread, count: int, held: Sequence[int]) -> list[int]:
    return [spread.shared(frame("a", n), held.__getitem__)[1][0] for n in range(count)]
