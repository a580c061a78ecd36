"""What all recipes share: where people come from, and where what was seen of them goes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from msgspec import structs

from configs.errors import ConfigError, PosestreamError, SourceError
from configs.load import load, resolve
from configs.schema import Settings
from engines.ops.skeleton import COCO
from stream.analysis.angles import Xy
from stream.client import subscribe
from stream.interrupts import Interrupts
from stream.messages import Begin, End, Frame, Message, Pixels, SourceSpec, Tracks
from stream.outputs import output_folders
from stream.pipeline import Pipeline
from stream.records import Record, record_of
from stream.redraw import tracks_of
from stream.sources.find import find
from stream.stage import Chain, Stage, run_here

_ASK_S = 0.5


@dataclass
class Seen:
    """What a recipe has seen in a frame."""

    labels: dict[int, str] = field(default_factory=dict)
    """Id -> what is written beside the person."""
    events: list[str] = field(default_factory=list)
    """What has just happened, a line each."""
    lines: list[list[Xy]] = field(default_factory=list)
    """Lines to be drawn, pixels."""


class Recipe(Protocol):
    """Looks at the people of one source, frame after frame."""

    def update(self, record: Record, now_s: float) -> Seen:
        """Take the next frame; `now_s` never goes back."""


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """A command line with what every recipe takes."""
    made = argparse.ArgumentParser(
        f"python -m recipes.{name}", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--source", required=True, help="file, camera (0), rtsp://…, or tcp://HOST:PORT of --publish")
    made.add_argument("--name", help="which source of a published stream (default: all)")
    made.add_argument("--output", metavar="DIR", help="write an overlay video there (default: none)")
    made.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any setting, as engine.model=r50"
    )
    return made


def run(given: argparse.Namespace, make: Callable[[], Recipe]) -> int:
    """Watch the source until it ends or Ctrl-C; events go to standard output. The exit code.

    Args:
        given: of `parser`.
        make: makes the recipe of one source.
    """
    try:
        settings = resolve(load(None, given.set, {"render.labels": False, "output.folder": given.output}, {}))
        with Interrupts() as interrupts:
            _watch(given, settings, make, lambda: interrupts.count() > 0)
            return interrupts.exit_code()
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code


def _watch(given: argparse.Namespace, settings: Settings, make: Callable[[], Recipe], stop: Callable[[], bool]) -> None:
    published = given.source.startswith(("tcp://", "ipc://"))
    specs = [SourceSpec(given.name or "stream", "pipe", "")] if published else find([given.source])
    if given.output is None:
        go(_messages(given, specs, settings, stop), [Notes(make)])
        return
    if published and given.name is None:
        raise ConfigError("--output of a published stream needs --name: one source's overlay is one video")
    pipeline = Pipeline()
    drawing = [pipeline.stage("render", settings), Notes(make, drawn=True), pipeline.stage("video", settings)]
    with output_folders(specs, settings) as placed:
        go(_messages(given, placed, settings, stop), drawing)
        print(*sorted(path for spec in placed for path in Path(spec.folder).glob("overlay*.mp4")), sep="\n")


def go(messages: Iterator[Message], stages: Sequence[Stage]) -> None:
    """Run stages to the end of their messages.

    Raises:
        SourceError: a source could not be read to its end.
    """
    for message in run_here(messages, Chain(stages)):
        if isinstance(message, End) and message.problem:
            raise SourceError(message.problem)


def _messages(
    given: argparse.Namespace, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool]
) -> Iterator[Message]:
    """Begin, Tracks and End of the sources."""
    if given.source.startswith(("tcp://", "ipc://")):
        return _published(given.source, given.name, specs[0], stop)
    pipeline = Pipeline()
    following = [pipeline.stage(name, settings) for name in ("infer", "nms", "track")]
    return run_here(pipeline.source(specs, settings, stop), Chain(following))


def _published(address: str, name: str | None, spec: SourceSpec, stop: Callable[[], bool]) -> Iterator[Message]:
    """Tracks of a published stream, on black pictures."""
    begun = False
    with subscribe(address, name, timeout_s=_ASK_S) as records:
        while not stop():
            try:
                record = next(records)
            except TimeoutError:
                continue
            except StopIteration:
                break
            if not begun:
                yield Begin(spec, record.width, record.height, fps=30.0, live=True)
                begun = True
            yield _on_black(record)
    yield End(spec.name, 0, stopped=stop())


def _on_black(record: Record) -> Tracks:
    now_ns = time.monotonic_ns()
    black = Pixels(np.zeros((record.height, record.width, 3), np.uint8))
    frame = Frame(
        source=record.source,
        epoch=record.epoch,
        index=record.index,
        pts_ns=round(record.pts_s * 1e9),
        captured_ns=now_ns,
        wall_ns=time.time_ns(),
        width=record.width,
        height=record.height,
        pixels=black,
    )
    return tracks_of(record, frame, COCO.size)


class Notes(Stage):
    """Tracks in and on: a recipe looks at them, events are printed, labels and lines drawn on drawn pictures."""

    def __init__(self, make: Callable[[], Recipe], drawn: bool = False) -> None:
        """Take note of how a recipe is made; one is for each source. `drawn`: pictures are ours to draw on."""
        self._make, self._drawn = make, drawn
        self._recipes: dict[str, Recipe] = {}
        self._clocks: dict[str, tuple[int, float, float]] = {}
        """Source -> epoch and time of its newest frame, and how much time has passed."""

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Tracks):
            record = record_of(message)
            if record.source not in self._recipes:
                self._recipes[record.source] = self._make()
            seen = self._recipes[record.source].update(record, self._now_s(record))
            for event in seen.events:
                print(f"{record.source} {record.pts_s:8.2f} s  {event}", flush=True)
            message = self._annotated(message, seen) if self._drawn else message
        yield message

    def _now_s(self, record: Record) -> float:
        epoch, last_s, now_s = self._clocks.get(record.source, (record.epoch, record.pts_s, record.pts_s))
        now_s += max(record.pts_s - last_s, 0.0) if epoch == record.epoch else 0.0
        self._clocks[record.source] = (record.epoch, record.pts_s, now_s)
        return now_s

    def _annotated(self, tracks: Tracks, seen: Seen) -> Tracks:
        from stream.draw import Canvas, colour_of

        canvas = Canvas(tracks.frame.picture)
        for line in seen.lines:
            canvas.path(np.array(line, np.float32), (255, 210, 60))
        for at, number in enumerate(tracks.ids.tolist()):
            if number in seen.labels:
                canvas.label(f"#{number} {seen.labels[number]}", "", tracks.people.boxes[at], colour_of(number))
        return structs.replace(tracks, frame=structs.replace(tracks.frame, pixels=Pixels(canvas.picture)))
