"""The one shape of a stage, and how stages are joined without a queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from stream.figures import RunFigures
from stream.messages import Message


class Stage(ABC):
    """One step of the pipeline: messages in, messages out.

    It knows its messages and its own settings. Sockets, processes, the wall
    clock and the other stages are somebody else's business. `Begin`, `Cut`, `Drop`
    and `End` of a source pass through every stage, `Cut` and `End` after all that was
    held back of that source. A frame is handed on once: as a message, or as a `Drop`;
    a sink hands its messages on too. What a stage was given it never changes; it gives
    changed copies.
    """

    patience_s: float = 0.0
    """How long it likes to wait for more before `pause`."""
    slots_wanted: int = 0
    """Frames under way at once that keep it busy; 0: as many as any."""
    together: int = 1
    """Frames of a recording that it works on at once."""
    ends_run: bool = False
    """True once the user has asked here that the run ends, as by Ctrl-C."""
    wants_figures: bool = False
    """True: `figures` is called about once a second."""
    notes: Sequence[str] = ()
    """Lines to be shown to the user: what it chose and why, what it could not use; more may come while it works."""

    @abstractmethod
    def process(self, message: Message) -> Iterable[Message]:
        """Take one message; give none, one or many."""

    def pause(self) -> Iterable[Message]:
        """What need not be held back: nothing more waits at the moment."""
        return ()

    def flush(self) -> Iterable[Message]:
        """All that was held back; what is open is finished: the input has ended."""
        return ()

    def snapshot(self, source: str) -> bytes:
        """What it remembers of a source between two frames; empty: nothing."""
        return b""

    def restore(self, source: str, state: bytes) -> None:
        """Continue a source, just begun, from a snapshot of the same version."""

    def left_out(self, source: str) -> Mapping[str, int]:
        """Cause -> frames of a source that it handed on and yet did not use; asked when the source ends."""
        return {}

    def figures(self, figures: RunFigures) -> None:
        """Take note of where the whole run stands; called in the thread of `process`, never during it."""

    def close(self) -> None:
        """Release what was opened. Called once, also after an error."""


class Chain(Stage):
    """Several stages as one, first to last."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self.patience_s = max((stage.patience_s for stage in self.stages), default=0.0)
        self.slots_wanted = max((stage.slots_wanted for stage in self.stages), default=0)
        self.together = max((stage.together for stage in self.stages), default=1)
        self.wants_figures = any(stage.wants_figures for stage in self.stages)

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        """Those of all its stages."""
        return [note for stage in self.stages for note in stage.notes]

    @property
    def ends_run(self) -> bool:  # type: ignore[override]
        """Whether one of them says so."""
        return any(stage.ends_run for stage in self.stages)

    def process(self, message: Message) -> Iterator[Message]:
        yield from self._from(0, [message])

    def pause(self) -> Iterator[Message]:
        for at, stage in enumerate(self.stages):
            yield from self._from(at + 1, stage.pause())

    def flush(self) -> Iterator[Message]:
        for at, stage in enumerate(self.stages):
            yield from self._from(at + 1, stage.flush())

    def figures(self, figures: RunFigures) -> None:
        for stage in self.stages:
            stage.figures(figures)

    def close(self) -> None:
        close_all(self.stages)

    def _from(self, at: int, messages: Iterable[Message]) -> Iterator[Message]:
        if at == len(self.stages):
            yield from messages
            return
        for message in messages:
            yield from self._from(at + 1, self.stages[at].process(message))


def close_all(stages: Iterable[Stage]) -> None:
    """Close every stage, the last first; the first error is raised after all were tried."""
    first: Exception | None = None
    for stage in reversed(tuple(stages)):
        try:
            stage.close()
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def run_here(messages: Iterable[Message], stage: Stage, at_once: bool = False) -> Generator[Message, None, None]:
    """Run a stage in this thread, one message at a time, and close it at the end.

    Args:
        messages: its input.
        stage: what to run.
        at_once: it holds nothing back that it need not: the messages are live.
    """
    try:
        for message in messages:
            yield from stage.process(message)
            if at_once:
                yield from stage.pause()
        yield from stage.flush()
    finally:
        stage.close()
