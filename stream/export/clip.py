"""The records of one source as a whole: read as often as a format needs, never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec import UNSET, Struct
from pydantic import ValidationError

from configs.errors import SourceError
from configs.skeleton import SkeletonSettings
from engines.ops.skeleton import COCO, Skeleton
from stream.records import Record

RECORDS = "keypoints.jsonl"
_FPS_FRAMES = 1_000
_FPS_ASSUMED = 30.0


@dataclass(frozen=True)
class Clip:
    """The records of one source; each `iter()` reads them anew."""

    name: str
    """For messages: where they come from."""
    skeleton: Skeleton
    read: Callable[[], Iterator[Record]]

    def __iter__(self) -> Iterator[Record]:
        return self.read()

    @cached_property
    def fps(self) -> float:
        """Median frame rate by the source's clock, lost frames counted; 30 where there are not two frames."""
        steps_s = [
            (later.pts_s - earlier.pts_s) / (later.index - earlier.index)
            for earlier, later in pairwise(islice(self, _FPS_FRAMES))
            if later.epoch == earlier.epoch and later.index > earlier.index and later.pts_s > earlier.pts_s
        ]
        return 1 / median(steps_s) if steps_s else _FPS_ASSUMED


def open_run(path: Path, skeleton: Skeleton | None = None) -> Clip:
    """The records of a run.

    Args:
        path: a source's folder, or a keypoints.jsonl.
        skeleton: whose keypoints they are; None: what the run.json beside them says, else COCO's.

    Raises:
        SourceError: there are none, or they have another number of keypoints; while reading: a line is no record.
    """
    records = path / RECORDS if path.is_dir() else path
    if not records.is_file():
        raise SourceError(f"{path} holds no {RECORDS}; name the folder of one source, or its {RECORDS}")
    known = skeleton or _skeleton_beside(records) or COCO
    return Clip(str(records), known, lambda: _records(records, known.size))


def _records(path: Path, keypoints: int) -> Iterator[Record]:
    decoder, number = msgspec.json.Decoder(Record), 0
    try:
        with path.open("rb") as file:
            for line in file:
                number += 1
                yield _checked(decoder.decode(line), keypoints, path)
    except msgspec.MsgspecError as error:
        raise SourceError(f"{path}: line {number} is no keypoints.v1 record: {error}") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from None


def _checked(record: Record, keypoints: int, path: Path) -> Record:
    for person in record.people:
        if not len(person.keypoints) == len(person.raw_keypoints) == keypoints:
            raise SourceError(
                f"{path}: person {person.id} of frame {record.index} has {len(person.keypoints)} keypoints, expected "
                f"{keypoints}; name the skeleton with --skeleton FILE"
            )
        if person.spread_px is not UNSET and len(person.spread_px) != keypoints:
            raise SourceError(f"{path}: person {person.id} of frame {record.index} has {len(person.spread_px)} spreads")
    return record


class _RunFile(Struct):
    """Of a run.json what is needed here."""

    run: dict[str, Any]


def _skeleton_beside(records: Path) -> Skeleton | None:
    path = records.with_name("run.json")
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=_RunFile).run["settings"]
        return Skeleton(SkeletonSettings.model_validate(settings["skeleton"]))
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValidationError):
        raise SourceError(f"{path} is no run.json of posestream; name the skeleton with --skeleton FILE") from None
