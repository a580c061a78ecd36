"""A mailbox keeps the newest item, loses count of none, and never blocks the one who puts."""

from __future__ import annotations

import time
from threading import Condition, Thread

import pytest

from stream.sources.mailbox import Mailbox


def test_a_newer_item_replaces_one_not_taken_and_that_is_counted() -> None:
    box: Mailbox[int] = Mailbox()
    for item in (1, 2, 3):
        box.put(item)
    assert box.take() == (3, {"busy": 2})
    box.put(4)
    assert box.take() == (4, {})
    assert box.dropped == {"busy": 2}


def test_drops_are_counted_by_cause_and_told_with_the_next_item() -> None:
    box: Mailbox[int] = Mailbox()
    box.drop("late")
    box.drop("late")
    box.put(1)
    assert box.take() == (1, {"late": 2})
    box.close()
    box.put(2)
    assert box.dropped == {"late": 2, "closed": 1}


def test_what_is_missing_before_an_item_is_told_also_if_that_item_is_dropped() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1, {"damaged": 2})
    box.put(2)
    box.drop("paused", {"damaged": 1})
    assert box.take() == (2, {"damaged": 3, "busy": 1, "paused": 1})
    assert box.dropped == {"busy": 1, "paused": 1}, "what never came is not among what was left here"


def test_taking_from_an_empty_one_waits_no_longer_than_said() -> None:
    box: Mailbox[int] = Mailbox()
    before_s = time.monotonic()
    assert box.take(0.05) is None
    assert 0.05 <= time.monotonic() - before_s < 5
    assert not box.done


def test_what_lies_there_at_the_end_can_still_be_taken() -> None:
    box: Mailbox[int] = Mailbox()
    box.put(1)
    box.close()
    assert not box.done
    assert box.take() == (1, {})
    assert box.take() is None  # at once, without a timeout
    assert box.done


def test_who_waits_is_woken_by_an_item_and_by_the_end() -> None:
    box: Mailbox[int] = Mailbox()
    taken: list[tuple[int, dict[str, int]] | None] = []

    def take_two() -> None:
        taken.append(box.take())
        taken.append(box.take())

    taker = Thread(target=take_two)
    taker.start()
    box.put(7)
    while not taken:
        with box.changed:
            box.changed.wait(0.01)
    box.close()
    taker.join(10)
    assert taken == [(7, {}), None]


@pytest.mark.parametrize("shared", [False, True])
def test_between_threads_nothing_is_lost_uncounted_and_nothing_comes_twice(shared: bool) -> None:
    box: Mailbox[int] = Mailbox(Condition() if shared else None)
    count = 20_000

    def put_all() -> None:
        for item in range(count):
            box.put(item)
        box.close()

    putter = Thread(target=put_all)
    putter.start()
    taken = []
    while (found := box.take()) is not None:
        taken.append(found)
    putter.join(10)
    items = [item for item, _ in taken]
    assert items == sorted(set(items))
    assert items[-1] == count - 1
    assert len(items) + sum(lost.get("busy", 0) for _, lost in taken) == count
    assert box.dropped.get("busy", 0) == count - len(items)
