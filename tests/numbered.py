"""Stages for tests whose pictures carry their number, so that a lost, repeated or mixed-up frame shows."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TextIO

import numpy as np
from msgspec import structs

from configs.errors import EngineError
from configs.schema import Settings
from engines.ops.people import People, nobody
from stream.changes import Change, no_changes
from stream.messages import Begin, Cut, Drop, End, Frame, Message, Pixels, Poses, SourceSpec, Tracks, frame_of
from stream.pipeline import Pipeline
from stream.stage import Chain, Stage
from tests.media import number_of

WIDTH, HEIGHT = 64, 48
Changes = Callable[[], Iterable[Change]]


class Numbered(Pipeline):
    """A pipeline with a source that counts, a network that reads the count from the pixels, and a ledger of both.

    A source's uri is the number of its frames.
    """

    reader: ClassVar[dict[str, float]] = {}

    def source(
        self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool], changes: Changes = no_changes
    ) -> Iterator[Message]:
        for spec in specs:
            yield Begin(spec, WIDTH, HEIGHT, 25.0)
            given = int(spec.states.get("decode", b"0"))
            while given < int(spec.uri) and not stop():
                yield _frame(spec.name, given)
                given += 1
                if settings.runtime.cut_every and given % settings.runtime.cut_every == 0:
                    yield Cut(spec.name, given, {"decode": b"%d" % given})
            yield End(spec.name, given, stopped=given < int(spec.uri))

    def stage(self, name: str, settings: Settings) -> Stage:
        if name == "infer":
            reader = Reader(**self.reader)
            reader.notes = [f"reads on {settings.engine.device}"]
            return reader
        return {"nms": Through, "track": Tell, "render": Through, "records": Ledger, "video": Through}[name]()


class Slow(Numbered):
    """The same with a network that takes 20 ms a frame."""

    reader: ClassVar = {"takes_s": 20e-3}


class Uneven(Numbered):
    """The same with a network that takes longer for some frames than for others."""

    def stage(self, name: str, settings: Settings) -> Stage:
        stage = super().stage(name, settings)
        if isinstance(stage, Reader):
            stage.uneven_s = 3e-3
        return stage


class Pairs(Numbered):
    """The same with a network that works on two frames of a source at once."""

    def stage(self, name: str, settings: Settings) -> Stage:
        stage = super().stage(name, settings)
        return InTwos(stage) if name == "infer" else stage


class Sluggish(Numbered):
    """The same with a network that takes 0.7 s a frame."""

    reader: ClassVar = {"takes_s": 0.7}


class Stuck(Numbered):
    """The same with a network that takes a minute a frame."""

    reader: ClassVar = {"takes_s": 60.0}


class Waiting(Numbered):
    """The same with a frame each 20 ms and a network that likes to wait 100 ms for more."""

    def source(
        self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool], changes: Changes = no_changes
    ) -> Iterator[Message]:
        for message in super().source(specs, settings, stop):
            time.sleep(20e-3)
            yield message

    def stage(self, name: str, settings: Settings) -> Stage:
        return Patient() if name == "infer" else super().stage(name, settings)


class Recorded(Numbered):
    """The same, slow, with the real keypoint records; it breaks at frame 30 of a source."""

    reader: ClassVar = {"takes_s": 5e-3, "breaks_at": 30}

    def stage(self, name: str, settings: Settings) -> Stage:
        return Pipeline.stage(self, name, settings) if name == "records" else super().stage(name, settings)


class Filmed(Pipeline):
    """posestream's own stages but for the network, which takes 8 ms a frame and reads the number as `media` writes it.

    A file `poison` in the working folder names a stage and a frame, or a cut: there the stage's process is gone.
    """

    def source(
        self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool], changes: Changes = no_changes
    ) -> Iterator[Message]:
        for message in super().source(specs, settings, stop, changes):
            _die_of_poison("decode", message)
            yield message

    def stage(self, name: str, settings: Settings) -> Stage:
        stage = Walker() if name == "infer" else super().stage(name, settings)
        return Chain([Poisoned(name), stage]) if name in ("infer", "nms") else stage  # these remember nothing


class Dropping(Numbered):
    """The same with an nms that gives up every tenth frame and a tracker that then gives up every seventh."""

    def stage(self, name: str, settings: Settings) -> Stage:
        if name == "nms":
            return Gives(10, "tenth")
        return Chain([Gives(7, "seventh"), Tell()]) if name == "track" else super().stage(name, settings)


class Losing(Numbered):
    """The same with an nms that keeps every tenth frame for itself, which no stage may."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Swallows(10) if name == "nms" else super().stage(name, settings)


class Summing(Numbered):
    """The same with a tracker whose result is the sum of all numbers so far."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Sums() if name == "nms" else super().stage(name, settings)


class Live(Summing):
    """Summing, of sources that are live: a frame each 2 ms, a cut after each tenth."""

    def source(
        self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool], changes: Changes = no_changes
    ) -> Iterator[Message]:
        for message in super().source(specs, settings, stop):
            if isinstance(message, Begin):
                message = structs.replace(message, live=True)
            time.sleep(2e-3)
            yield message


class Shown(Dropping):
    """Dropping, with a network that takes 5 ms a frame and the real page."""

    reader: ClassVar = {"takes_s": 5e-3}

    def stage(self, name: str, settings: Settings) -> Stage:
        return Pipeline.stage(self, name, settings) if name == "web" else super().stage(name, settings)


class ShownLive(Live):
    """Live, with the real page."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Pipeline.stage(self, name, settings) if name == "web" else super().stage(name, settings)


class Noting(Numbered):
    """The same with a tracker that has something to say when it is made and at frame 5."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Notes() if name == "nms" else super().stage(name, settings)


class Printing(Numbered):
    """The same with a network that prints."""

    def stage(self, name: str, settings: Settings) -> Stage:
        print(f"{name} says something")
        return super().stage(name, settings)


class Asleep(Numbered):
    """The same with a network that is never loaded."""

    def stage(self, name: str, settings: Settings) -> Stage:
        if name == "infer":
            threading.Event().wait()
        return super().stage(name, settings)


class Breaking(Numbered):
    """The same with a network that fails at frame 30."""

    reader: ClassVar = {"breaks_at": 30}


class Dying(Numbered):
    """The same with a network whose process is gone at frame 30."""

    reader: ClassVar = {"dies_at": 30}


class TornError(EngineError):
    """A subclass, which has its parent's exit code in a worker too."""


class Unmade(Numbered):
    """The same with a network that cannot be loaded."""

    def stage(self, name: str, settings: Settings) -> Stage:
        if name == "infer":
            raise TornError("the weights are torn")
        return super().stage(name, settings)


class Reader(Stage):
    """Frame in, Poses out: one person whose logits are the number in the pixels."""

    def __init__(self, takes_s: float = 0.0, breaks_at: float = -1, dies_at: float = -1) -> None:
        self._takes_s, self._breaks_at, self._dies_at = takes_s, breaks_at, dies_at
        self.uneven_s = 0.0
        """Added up to four times, by the number in the pixels."""

    def process(self, message: Message) -> Iterator[Message]:
        if not isinstance(message, Frame):
            yield message
            return
        number = number_in(message.pixels.array)
        time.sleep(self._takes_s + self.uneven_s * (number * 7 % 5))
        if number == self._breaks_at:
            raise RuntimeError("the network broke")
        if number == self._dies_at:
            os._exit(9)
        yield Poses(message, person(number))


class Poisoned(Stage):
    """Hands everything on, unless it dies of it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def process(self, message: Message) -> Iterator[Message]:
        _die_of_poison(self._name, message)
        yield message


def _die_of_poison(stage: str, message: Message) -> None:
    place = Path("poison")
    frame = frame_of(message)
    what = f"{stage} cut {message.index}" if isinstance(message, Cut) else ""
    if frame is not None and "error" not in frame.flags:
        what = f"{stage} {frame.source} {frame.index}"
    if what and place.exists() and what in place.read_text().splitlines():
        os._exit(9)


class Walker(Stage):
    """Frame in, Poses out: one person further right by a pixel with each number."""

    def process(self, message: Message) -> Iterator[Message]:
        if not isinstance(message, Frame):
            yield message
            return
        number = number_of(message.picture)
        if "error" in message.flags:
            yield Poses(message, nobody())
            return
        time.sleep(8e-3)
        stands = person(number)
        step = np.array([number, 0], np.float32)
        yield Poses(message, replace(stands, boxes=stands.boxes + np.tile(step, 2), keypoints=stands.keypoints + step))


class Through(Stage):
    """Hands everything on."""

    def process(self, message: Message) -> Iterator[Message]:
        yield message


class Patient(Stage):
    """Frame in, Poses out, when nothing more waits or the source has ended."""

    patience_s = 0.1
    given: ClassVar[list[int]] = []
    """How many frames were given at each pause, of all that were ever made."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._held: list[Message] = []

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Frame):
            self._held.append(message)
            return
        yield from self._give()
        yield message

    def pause(self) -> Iterator[Message]:
        self.given.append(len(self._held))
        yield from self._give()

    def _give(self) -> Iterator[Message]:
        held, self._held = self._held, []
        for message in held:
            yield from self._reader.process(message)


class InTwos(Stage):
    """Asks another stage when it has two frames in a row of a source, or what is left of it at its end."""

    together = 2
    slots_wanted = 6

    def __init__(self, stage: Stage) -> None:
        self._stage, self._held = stage, list[Frame]()
        self.notes = stage.notes

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Frame):
            self._held.append(message)
            if len(self._held) < 2:
                return
            first, second = self._held
            assert second.index == first.index + 1
            yield from self._give()
            return
        yield from self._give()
        yield message

    def flush(self) -> Iterator[Message]:
        return self._give()

    def _give(self) -> Iterator[Message]:
        held, self._held = self._held, []
        for message in held:
            yield from self._stage.process(message)


class Gives(Stage):
    """Hands everything on but every so many-th frame, which it gives up."""

    def __init__(self, every: int, cause: str) -> None:
        self._every, self._cause = every, cause

    def process(self, message: Message) -> Iterator[Message]:
        frame = frame_of(message)
        yield Drop(frame, self._cause) if frame and frame.index % self._every == 0 else message


class Swallows(Stage):
    """Hands everything on but every so many-th frame, of which nothing is heard again."""

    def __init__(self, every: int) -> None:
        self._every = every

    def process(self, message: Message) -> Iterator[Message]:
        frame = frame_of(message)
        if frame is None or frame.index % self._every:
            yield message


class Notes(Through):
    """Hands everything on, and says so when it is made and at frame 5."""

    def __init__(self) -> None:
        self.notes = ["made"]

    def process(self, message: Message) -> Iterator[Message]:
        frame = frame_of(message)
        if frame is not None and frame.index == 5:
            self.notes.append("five")
        return super().process(message)


class Sums(Stage):
    """Poses in and on, their logits the sum of the source's numbers so far."""

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Poses):
            source = message.frame.source
            self._sums[source] = self._sums.get(source, 0) + int(message.people.logits[0, 0])
            message = structs.replace(message, people=person(self._sums[source]))
        yield message

    def snapshot(self, source: str) -> bytes:
        return b"%d" % self._sums[source]

    def restore(self, source: str, state: bytes) -> None:
        self._sums[source] = int(state)


class Tell(Stage):
    """Poses in, Tracks out: everybody is number 1."""

    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Poses):
            ids = np.ones(len(message.people), np.int64)
            yield Tracks(message.frame, message.people, ids, message.people.keypoints)
        else:
            yield message


class Ledger(Stage):
    """Writes, for each frame, its index, the number found by the network and the number in the pixels now."""

    def __init__(self) -> None:
        self._files: dict[str, TextIO] = {}

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                mode = "a" if message.again else "w"
                self._files[message.spec.name] = Path(message.spec.folder, "ledger").open(mode, buffering=1)
            case Tracks():
                found = int(message.people.logits[0, 0])
                print(
                    message.frame.index,
                    found,
                    number_in(message.frame.pixels.array),
                    file=self._files[message.frame.source],
                )
            case End():
                self._files.pop(message.source).close()
        yield message

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def _frame(source: str, number: int) -> Frame:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[:] = [number >> 16 & 255, number >> 8 & 255, number & 255]
    pts_ns = number * 40_000_000
    return Frame(source, 0, number, pts_ns, time.monotonic_ns(), time.time_ns(), WIDTH, HEIGHT, Pixels(picture))


def number_in(picture: np.ndarray) -> int:
    """Read a picture's number; all its pixels must agree."""
    assert (picture == picture[0, 0]).all(), "two frames are mixed in one picture"
    return int(picture[0, 0, 0]) << 16 | int(picture[0, 0, 1]) << 8 | int(picture[0, 0, 2])


def person(number: int) -> People:
    """One sure person whose first keypoint's logit is the number."""
    people = nobody()
    logits = np.full((1, 17), float(number), np.float32)
    box = np.array([[10, 5, 40, 45]], np.float32)
    keypoints = np.stack([np.linspace(12, 38, 17), np.linspace(8, 42, 17)], 1)[None].astype(np.float32)
    ones = np.full((1, 17), 0.9, np.float32)
    return type(people)(box, np.array([0.99], np.float32), keypoints, ones, logits)


def sources(folder: Path, *counts: int) -> list[SourceSpec]:
    """Give sources of so many frames, each with an output folder."""
    made = []
    for at, count in enumerate(counts):
        out = folder / f"s{at}"
        out.mkdir(parents=True)
        made.append(SourceSpec(f"s{at}", "file", str(count), str(out)))
    return made


def ledger(spec: SourceSpec) -> list[tuple[int, ...]]:
    """Read what the ledger holds of a source."""
    return [tuple(map(int, line.split())) for line in Path(spec.folder, "ledger").read_text().splitlines()]


class Quitting(Numbered):
    """The same, slow, with a video sink by which the user ends the run at frame 10."""

    reader: ClassVar = {"takes_s": 5e-3}

    def stage(self, name: str, settings: Settings) -> Stage:
        return Quits() if name == "video" else super().stage(name, settings)


class Quits(Stage):
    """Passes everything on."""

    def process(self, message: Message) -> Iterator[Message]:
        frame = frame_of(message)
        self.ends_run = self.ends_run or (frame is not None and frame.index == 10)
        yield message
