"""A live run with real sources, tracking and outputs, and a network that only takes its time."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import structs

from configs.errors import PosestreamError
from configs.load import load
from configs.schema import Settings
from engines.ops.people import People, joined
from stream.launch import launch
from stream.messages import Frame, Message, Poses, SourceSpec
from stream.pipeline import Pipeline
from stream.runtime.progress import Progress
from stream.stage import Stage
from stream.summary import Summary
from tests.media import number_of
from tests.numbered import person

TAKES_S = 20e-3

QUICK = {
    "live.connect_timeout_s": 1.5,
    "live.read_timeout_s": 1.0,
    "live.retry_s": 0.2,
    "live.retry_max_s": 0.5,
    "runtime.hang_after_s": 4.0,
}


class StandIn(Pipeline):
    """The pipeline, its network one that takes 20 ms a frame.

    It finds two people in the first 25 frames of a source; then the first of them is gone, so that who forgets what was
    gives the other another id.
    """

    def stage(self, name: str, settings: Settings) -> Stage:
        return _Finds(_two_then_one) if name == "infer" else super().stage(name, settings)


class Reads(Pipeline):
    """The same; it finds one person, whose left edge is the number in the picture."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return _Finds(lambda frame: at(number_of(frame.picture))) if name == "infer" else super().stage(name, settings)


class _Finds(Stage):
    def __init__(self, people: Callable[[Frame], People]) -> None:
        self._people = people

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Frame):
            time.sleep(TAKES_S)
            yield Poses(message, self._people(message))
        else:
            yield message


def at(x_px: int) -> People:
    """One sure person whose left edge is there."""
    one = person(0)
    shift = np.float32([x_px - one.boxes[0, 0], 0])
    return replace(one, boxes=one.boxes + np.tile(shift, 2), keypoints=one.keypoints + shift)


def _two_then_one(frame: Frame) -> People:
    first, second = at(10), at(80)
    return joined(first, second) if frame.index < 25 else second


class Run(threading.Thread):
    """A run in this process, its stages in others; what is seen of it can be waited for."""

    def __init__(self, specs: Sequence[SourceSpec], folder: Path, factory: str, changes: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        wanted = {"output.folder": str(folder), **QUICK, **changes}
        self.settings = load(None, (), {name: value for name, value in wanted.items() if value is not None})
        self.specs = [structs.replace(spec, folder=str(folder / spec.name)) for spec in specs]
        for spec in self.specs:
            Path(spec.folder).mkdir(parents=True)
        self.folder, self._factory = folder, factory
        self.progress = Progress()
        self.stops = 0
        self.summary: Summary | None = None
        self.failure: PosestreamError | None = None
        self.error: BaseException | None = None
        self._turned = threading.Condition()
        self._turns = 0

    def run(self) -> None:
        try:
            self.summary, self.failure = launch(
                self.settings, self.specs, lambda: self.stops, self._seen, self._factory
            )
        except BaseException as error:
            self.error = error
        finally:
            self._seen(self.progress)

    def _seen(self, progress: Progress) -> None:
        with self._turned:
            self.progress = progress
            self._turns += 1
            self._turned.notify_all()

    def until(self, what: Callable[[Progress], object], timeout_s: float = 30.0) -> float:
        """Wait for something; how long that took, in seconds."""
        began_s = time.monotonic()
        with self._turned:
            came = self._turned.wait_for(lambda: what(self.progress) or not self.is_alive(), timeout_s)
        if self.error is not None:
            raise self.error
        assert came, f"not within {timeout_s} s: {self.progress}"
        assert what(self.progress), f"the run has ended before: {self.failure}"
        return time.monotonic() - began_s

    def until_frames(self, source: str, count: int = 10, timeout_s: float = 30.0) -> float:
        """Wait for so many frames more of a source."""
        wanted = self.progress.counts(source).frames + count
        return self.until(lambda progress: progress.counts(source).frames >= wanted, timeout_s)

    def end(self) -> Summary:
        """Stop it, as Ctrl-C would."""
        self.stops = 1
        self.join(20)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error
        assert self.summary is not None
        return self.summary

    def rows(self, source: str) -> list[dict[str, Any]]:
        """Records of a source so far; a line that is being written is left out."""
        folder = self.folder / source
        path = next(path for name in ("keypoints.jsonl", "keypoints.jsonl.part") if (path := folder / name).exists())
        return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


@contextlib.contextmanager
def running(
    specs: Sequence[SourceSpec], folder: Path, factory: str = "tests.stand_in:StandIn", **changes: Any
) -> Iterator[Run]:
    """A run that goes on; at the end it is stopped."""
    run = Run(specs, folder, factory, {key.replace("__", "."): value for key, value in changes.items()})
    run.start()
    try:
        yield run
    finally:
        run.stops = run.stops or 1
        run.join(20)
        assert not run.is_alive()


def accounts(summary: Summary, source: str, rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Frames that a source offered as the summary has it, and as its last record's number says, at least."""
    (one,) = [each for each in summary.sources if each.source == source]
    assert one.frames == len(rows), f"{one.frames} frames, {len(rows)} records: {msgspec.to_builtins(one)}"
    return one.frames + sum(one.dropped.values()), rows[-1]["index"] + 1
