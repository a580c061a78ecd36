"""How much each stage did and how long it took, in memory that does not grow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from msgspec import structs

from stream.figures import RunFigures, StageFigures
from stream.messages import Begin, Cut, Drop, End, Message, frame_of
from stream.stage import Stage

_FIRST_MS, _LAST_MS, _BINS = 0.001, 1e6, 1024
_EDGES_MS = np.geomspace(_FIRST_MS, _LAST_MS, _BINS - 1)  # 2 % apart: percentiles are as exact


class Meter:
    """Counts and times one stage."""

    def __init__(self) -> None:
        self._figures = StageFigures()
        self._counts = np.zeros(_BINS, np.int64)
        self._dropped: dict[str, int] = {}

    def add(self, frames: int, busy_s: float, frame_s: float = 0.0) -> None:
        """Add work of `busy_s` in all, by which so many frames were handed on, each after `frame_s` of work."""
        self._figures.busy_s += busy_s
        if frames:
            self._figures.frames += frames
            self._counts[np.searchsorted(_EDGES_MS, 1000 * frame_s)] += frames

    def drop(self, cause: str, frames: int = 1) -> None:
        """Add frames that were given up."""
        self._dropped[cause] = self._dropped.get(cause, 0) + frames

    def figures(self) -> StageFigures:
        """The figures up to now."""
        figures = structs.replace(self._figures, dropped=dict(self._dropped))
        if figures.frames:
            so_far = np.cumsum(self._counts) / self._counts.sum()
            at = np.minimum(np.searchsorted(so_far, (0.5, 0.95, 0.99)), _BINS - 2)
            figures.p50_ms, figures.p95_ms, figures.p99_ms = (round(float(x), 3) for x in _EDGES_MS[at])
        return figures


def joined(one: Mapping[str, StageFigures], other: Mapping[str, StageFigures]) -> dict[str, StageFigures]:
    """Figures by stage of several groups that share out the frames; percentiles are means, weighted by the frames."""
    return dict(one) | {name: _sum(one.get(name, StageFigures()), figures) for name, figures in other.items()}


def _sum(one: StageFigures, other: StageFigures) -> StageFigures:
    frames = one.frames + other.frames
    causes = sorted({*one.dropped, *other.dropped})

    def mean(of_one: float, of_other: float) -> float:
        return round((one.frames * of_one + other.frames * of_other) / frames, 3) if frames else 0.0

    return StageFigures(
        frames=frames,
        busy_s=one.busy_s + other.busy_s,
        p50_ms=mean(one.p50_ms, other.p50_ms),
        p95_ms=mean(one.p95_ms, other.p95_ms),
        p99_ms=mean(one.p99_ms, other.p99_ms),
        dropped={cause: one.dropped.get(cause, 0) + other.dropped.get(cause, 0) for cause in causes},
    )


class StageMeter:
    """The meters of one stage: of the whole run, and of each source that is open."""

    def __init__(self) -> None:
        self._total = Meter()
        self._sources: dict[str, Meter] = {}
        self._waiting_s = 0.0  # work for frames that are still held

    def add(self, frames: Mapping[str, int], seconds: float) -> None:
        """Add work of so many seconds, by which frames were handed on: of each source so many.

        A batch is gathered over several calls and given in one: its frames share the time of them all.
        """
        count = sum(frames.values())
        if not count:
            self._waiting_s += seconds
            self._total.add(0, seconds)
            return
        frame_s = (self._waiting_s + seconds) / count
        self._waiting_s = 0.0
        self._total.add(count, seconds, frame_s)
        for source, each in frames.items():
            self._of(source).add(each, each * frame_s, frame_s)

    def drop(self, source: str, cause: str, frames: int = 1) -> None:
        """Add frames that the stage gave up."""
        self._total.drop(cause, frames)
        self._of(source).drop(cause, frames)

    def figures(self) -> StageFigures:
        """The stage's figures up to now, all sources together."""
        return self._total.figures()

    def close(self, source: str) -> StageFigures:
        """A source's figures; it has ended and is forgotten."""
        return self._sources.pop(source, Meter()).figures()

    def _of(self, source: str) -> Meter:
        return self._sources.setdefault(source, Meter())


class Metered(Stage):
    """A stage that is timed. What it gives is stamped with its name; snapshots are taken and put back here."""

    def __init__(self, name: str, stage: Stage, meter: StageMeter) -> None:
        self._name, self._stage, self._meter = name, stage, meter
        self.patience_s, self.slots_wanted, self.notes = stage.patience_s, stage.slots_wanted, stage.notes
        self.together = stage.together
        self.wants_figures = stage.wants_figures

    @property
    def ends_run(self) -> bool:  # type: ignore[override]
        """As the stage says."""
        return self._stage.ends_run

    def process(self, message: Message) -> Iterator[Message]:
        for given in timed(self._name, self._meter, self._processed(message)):
            if isinstance(given, Begin) and (state := given.spec.states.get(self._name)):
                self._stage.restore(given.spec.name, state)
            elif isinstance(given, Cut) and (state := self._stage.snapshot(given.source)):
                given = structs.replace(given, states={**given.states, self._name: state})
            yield given

    def _processed(self, message: Message) -> Iterator[Message]:
        for given in self._stage.process(message):
            if isinstance(given, End):
                for cause, frames in self._stage.left_out(given.source).items():
                    self._meter.drop(given.source, cause, frames)
            yield given

    def pause(self) -> Iterator[Message]:
        return timed(self._name, self._meter, self._stage.pause())

    def flush(self) -> Iterator[Message]:
        return timed(self._name, self._meter, self._stage.flush())

    def figures(self, figures: RunFigures) -> None:
        self._stage.figures(figures)

    def close(self) -> None:
        self._stage.close()


def timed(name: str, meter: StageMeter, messages: Iterable[Message], one_by_one: bool = False) -> Iterator[Message]:
    """The messages, stamped and counted; only the time inside their iterator is measured, not its consumer's.

    Args:
        name: of the stage.
        meter: gets the figures.
        messages: what one call of the stage gives.
        one_by_one: each message takes its own time, as those of a source do; else all frames share it.
    """
    frames: dict[str, int] = {}
    spent_ns, started_ns = 0, time.monotonic_ns()
    for message in messages:
        now_ns = time.monotonic_ns()
        spent_ns += now_ns - started_ns
        frame = frame_of(message)
        if frame is not None:
            frame.times_ns[name] = now_ns
            frames[frame.source] = frames.get(frame.source, 0) + 1
        elif isinstance(message, Drop) and not message.stage:
            message = structs.replace(message, stage=name)
            meter.drop(message.frame.source, message.cause)
        if one_by_one or isinstance(message, End):
            meter.add(frames, spent_ns / 1e9)
            frames, spent_ns = {}, 0
        if isinstance(message, End):
            message = structs.replace(message, stages={**message.stages, name: meter.close(message.source)})
        yield message
        started_ns = time.monotonic_ns()
    meter.add(frames, (spent_ns + time.monotonic_ns() - started_ns) / 1e9)
