"""A run's overlay drawn anew from its source and from records that were changed since."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET
from pydantic import ValidationError

from configs.errors import SourceError
from configs.schema import Settings
from engines.ops.people import F, People
from stream.export.clip import Clip
from stream.messages import End, Frame, Message, SourceSpec, Tracks
from stream.pipeline import Pipeline
from stream.records import Person, Record
from stream.sinks.output import finish, part_of, writing
from stream.sources.find import find
from stream.stage import Chain, Stage, run_here

_SOON_S = 0.5  # whose face is blurred before they are shown: a person is followed for a while until then


@dataclass(frozen=True)
class RunFile:
    """A run.json that was read."""

    content: dict[str, Any]
    settings: Settings

    def write(self, folder: Path, note: str) -> Path:
        """Write it into another folder, saying in its notes what is different there."""
        path = folder / "run.json"
        source, run = self.content["source"], self.content["run"]
        outputs = [each for each in ("overlay.mp4", "keypoints.jsonl") if (folder / each).exists()]
        content = self.content | {
            "source": source | {"folder": str(folder), "outputs": outputs},
            "run": run | {"notes": [*run["notes"], note]},
        }
        with writing(path):
            part_of(path).write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
        finish(path)
        return path


def read_run(folder: Path) -> RunFile:
    """The run.json of a source's folder.

    Raises:
        SourceError: there is none, or it is of another version.
    """
    path = folder / "run.json"
    try:
        content = msgspec.json.decode(path.read_bytes())
        settings = Settings.model_validate(content["run"]["settings"])
        if not isinstance(content["run"]["notes"], list) or not isinstance(content["source"]["uri"], str):
            raise TypeError
    except FileNotFoundError:
        raise SourceError(f"{folder} holds no run.json; name the folder of a source that has ended") from None
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValidationError):
        raise SourceError(f"{path} is no run.json of this version of posestream; run it again") from None
    return RunFile(content, settings)


def source_of(run: RunFile, path: str | None, with_pictures: bool) -> SourceSpec:
    """The source that a run has read.

    Args:
        run: its run.json.
        path: where it is now; None: where it was.
        with_pictures: whether it is to be read again.

    Raises:
        SourceError: it is to be read again, and it is not there, or it was live.
    """
    name = str(run.content["source"]["source"])
    if not with_pictures:
        return SourceSpec(name, "file", "")
    try:
        found = find([path or run.content["source"]["uri"]])
    except SourceError as error:
        raise SourceError(f"{error}; --source FILE says where it is now, --no-video does without") from None
    if len(found) != 1 or found[0].live:
        raise SourceError(f"{found[0].label} cannot be read again; give a recording with --source, or --no-video")
    return msgspec.structs.replace(found[0], name=name)


def redraw(
    records: Clip, source: SourceSpec, settings: Settings, stop: Callable[[], bool] = lambda: False
) -> Path | None:
    """Draw the people of the records on the source's pictures; the overlay's path, None if it was stopped.

    Args:
        records: of every frame that the source gives with these settings.
        source: with the folder where overlay.mp4 goes.
        settings: of decoding, drawing and encoding.
        stop: asked for each frame; once true, nothing is left behind.

    Raises:
        SourceError: the source cannot be read to its end.
        OutputError: the disk refuses.
    """
    pipeline = Pipeline()
    drawing = [pipeline.stage(name, settings) for name in ("render", "video")]
    frames = pipeline.source([source], settings, lambda: False)
    for message in run_here(frames, Chain([Replay(records, records.skeleton.size), *drawing])):
        if stop():
            return None
        if isinstance(message, End) and message.problem:
            raise SourceError(message.problem)
    return Path(source.folder) / "overlay.mp4"


class Replay(Stage):
    """Frames in, Tracks out: the people that records have in each frame, nobody where they lack the frame.

    Who is about to appear counts as being there already, and not shown.
    """

    def __init__(self, records: Iterable[Record], keypoints: int) -> None:
        self._records, self._keypoints = iter(records), keypoints
        self._next = deque[Record]()
        """What comes from the frame at hand on, as far as it is looked ahead."""

    def process(self, message: Message) -> Iterator[Message]:
        yield self._tracks(message) if isinstance(message, Frame) else message

    def _tracks(self, frame: Frame) -> Tracks:
        self._look_ahead(frame)
        record = self._next[0] if self._next and self._next[0].index == frame.index else None
        shown = record.people if record else []
        ahead = [each for each in reversed(self._next) if self._is_soon(each, frame)]
        soon = {person.id: person for each in ahead for person in each.people}
        for person in shown:
            soon.pop(person.id, None)
        tracks = _tracks_of(shown, frame, self._keypoints)
        return msgspec.structs.replace(tracks, others=_tracks_of([*soon.values()], frame, self._keypoints).people)

    def _look_ahead(self, frame: Frame) -> None:
        while self._next and self._next[0].index < frame.index:
            self._next.popleft()
        while not self._next or self._next[-1].index < frame.index or self._is_soon(self._next[-1], frame):
            if (record := next(self._records, None)) is None:
                return
            if record.index >= frame.index:
                self._next.append(record)

    @staticmethod
    def _is_soon(record: Record, frame: Frame) -> bool:
        return record.epoch == frame.epoch and record.pts_s - frame.pts_ns / 1e9 < _SOON_S


def tracks_of(record: Record, frame: Frame, keypoints: int) -> Tracks:
    """The people of a record as tracks of a frame; their logits, which records lack, are 0.

    Args:
        record: of the frame.
        frame: which people are in.
        keypoints: K.
    """
    return _tracks_of(record.people, frame, keypoints)


def _tracks_of(people: Sequence[Person], frame: Frame, keypoints: int) -> Tracks:
    xyc = np.array([person.keypoints for person in people], np.float32).reshape(-1, keypoints, 3)
    found = People(
        boxes=np.array([person.box for person in people], np.float32).reshape(-1, 4),
        scores=np.array([person.score for person in people], np.float32),
        keypoints=np.array([person.raw_keypoints for person in people], np.float32).reshape(-1, keypoints, 2),
        confidence=xyc[..., 2],
        logits=np.zeros(xyc.shape[:2], np.float32),
        spread_px=_spread_px(people),
    )
    return Tracks(frame, found, np.array([person.id for person in people], np.int64), xyc[..., :2])


def _spread_px(people: Sequence[Person]) -> F | None:
    """(N, K, 2) of the people; None where somebody has none."""
    if not people or any(person.spread_px is UNSET for person in people):
        return None
    return np.array([person.spread_px for person in people], np.float32)
