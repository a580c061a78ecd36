"""Stages in a row behave as one stage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.figures import RunFigures
from stream.messages import End, Message
from stream.stage import Chain, Stage, run_here


class Pairs(Stage):
    """Holds every other message back."""

    def __init__(self) -> None:
        self.held: list[Message] = []
        self.closed = 0

    def process(self, message: Message) -> Iterator[Message]:
        self.held.append(message)
        if len(self.held) == 2:
            yield from self.pause()

    def pause(self) -> list[Message]:
        given, self.held = self.held, []
        return given

    flush = pause

    def close(self) -> None:
        self.closed += 1


class Breaks(Pairs):
    def close(self) -> None:
        super().close()
        raise OSError("disk full")


def numbers(count: int) -> list[Message]:
    return [End(str(n), n) for n in range(count)]


@pytest.mark.parametrize("stages", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_a_chain_loses_nothing_and_keeps_the_order(stages: int, count: int) -> None:
    chain = Chain([Pairs() for _ in range(stages)])
    assert list(run_here(numbers(count), chain)) == numbers(count)


def test_what_a_stage_held_back_still_passes_the_later_ones() -> None:
    first, second = Pairs(), Pairs()
    chain = Chain([first, second])
    assert list(chain.process(numbers(1)[0])) == []
    assert list(chain.pause()) == numbers(1)
    assert first.held == second.held == []


def test_all_stages_hear_of_the_figures_if_one_wants_them() -> None:
    class Shows(Pairs):
        wants_figures = True
        seen: RunFigures | None = None

        def figures(self, figures: RunFigures) -> None:
            self.seen = figures

    shows = Shows()
    chain = Chain([Pairs(), Chain([Pairs(), shows])])
    chain.figures(told := RunFigures([], 0, 0, {}, {}, {}, {}, 0, 1.5))
    assert shows.seen is told
    assert chain.wants_figures
    assert not Chain([Pairs(), Pairs()]).wants_figures


def test_all_stages_are_closed_though_one_fails() -> None:
    stages = [Pairs(), Breaks(), Pairs()]
    with pytest.raises(OSError, match="disk full"):
        Chain(stages).close()
    assert [stage.closed for stage in stages] == [1, 1, 1]


def test_stages_are_closed_after_an_error_in_the_source() -> None:
    def source() -> Iterator[Message]:
        yield End("0", 0)
        raise ValueError("torn")

    stage = Pairs()
    with pytest.raises(ValueError, match="torn"):
        list(run_here(source(), stage))
    assert stage.closed == 1
