"""Signals that ask a run to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from stream.interrupts import Interrupts

ASKING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ASKING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_gives_the_exit_code_and_each_counts(sent: signal.Signals, code: int) -> None:
    with Interrupts() as interrupts:
        assert (interrupts.count(), interrupts.exit_code()) == (0, 0)
        signal.raise_signal(sent)
        signal.raise_signal(signal.SIGINT)
    assert (interrupts.count(), interrupts.exit_code()) == (2, code)


def test_what_held_before_holds_afterwards() -> None:
    before = [signal.getsignal(number) for number in ASKING]
    with Interrupts():
        assert [signal.getsignal(number) for number in ASKING] != before
    assert [signal.getsignal(number) for number in ASKING] == before


def test_under_nohup_the_end_of_the_terminal_stops_nothing() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGHUP)
    assert interrupts.count() == 0
