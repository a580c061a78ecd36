"""The keypoint record `keypoints.v1`: what other programs read. `python -m stream.records` writes its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType, structs
from numpy.typing import NDArray

from configs.coco import KEYPOINTS

if TYPE_CHECKING:  # a subscriber in another program has none of their libraries
    from engines.ops.people import F
    from engines.ops.skeleton import Skeleton
    from stream.messages import Drop, Tracks

SCHEMA_FILE = Path(__file__).parents[1] / "docs" / "keypoints.v1.schema.json"

Unit = Annotated[float, Meta(ge=0, le=1)]
Xy = tuple[float, float]
XyConfidence = tuple[float, float, Unit]


class Person(Struct, frozen=True):
    """One person of a frame. Coordinates are pixels of the upright source frame, keypoints in the skeleton's order."""

    id: Annotated[int, Meta(ge=1, description="Lasts while the person is followed; never used again in a source.")]
    score: Annotated[Unit, Meta(description="How sure it is that this is a person.")]
    box: Annotated[tuple[float, float, float, float], Meta(description="x1, y1, x2, y2 as detected.")]
    keypoints: Annotated[
        list[XyConfidence],
        Meta(min_length=1, description="Smoothed: x, y, confidence; one a keypoint of the skeleton, in its order."),
    ]
    raw_keypoints: Annotated[list[Xy], Meta(min_length=1, description="As detected: x, y.")]
    tracked: Annotated[
        Literal["seen", "predicted", "filled"],
        Meta(
            description="seen: detected in this very frame; predicted: nobody was looked for, so moved on; filled: "
            "unseen between two frames, put in by offline smoothing."
        ),
    ]
    spread_px: (
        Annotated[
            list[Xy],
            Meta(description="With --uncertainty mc: standard deviation along x and y of each raw keypoint."),
        ]
        | UnsetType
    ) = UNSET

    def keypoint(self, name: str, skeleton: Skeleton | None = None) -> XyConfidence:
        """A keypoint by its name: x, y, confidence.

        Args:
            name: as "left_wrist".
            skeleton: whose keypoints they are; None: COCO's.

        Raises:
            ValueError: the skeleton has no keypoint of that name.
        """
        names = KEYPOINTS if skeleton is None else skeleton.names
        if name not in names:
            raise ValueError(f"no keypoint {name}: there are {', '.join(names)}")
        return self.keypoints[names.index(name)]


class Record(Struct, frozen=True, kw_only=True):
    """The people of one frame. A frame without people has an empty list, not a missing record."""

    schema: Literal["keypoints.v1"] = "keypoints.v1"
    source: Annotated[str, Meta(description="The source's name in the run.")]
    epoch: Annotated[int, Meta(ge=0, description="Rises when the source's clock or size breaks.")]
    index: Annotated[int, Meta(ge=0, description="Counts the source's frames; a gap is a loss.")]
    pts_s: Annotated[float, Meta(description="When the frame is shown, by the source's own clock.")]
    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]
    dropped: Annotated[int, Meta(ge=0, description="Frames lost just before this one.")]
    flags: Annotated[list[str], Meta(description="What was wrong with the frame, such as damaged.")]
    people: Annotated[list[Person], Meta(description="By rising id.")]
    pixel_aspect: (
        Annotated[tuple[int, int], Meta(description="Width to height of a pixel; absent where pixels are square.")]
        | UnsetType
    ) = UNSET
    wall: Annotated[str, Meta(description="When the frame was decoded, UTC; live sources only.")] | UnsetType = UNSET
    age_ms: Annotated[float, Meta(description="From decoding to this record; live sources only.")] | UnsetType = UNSET
    stages_ms: (
        Annotated[dict[str, float], Meta(description="From decoding to each stage's end; live sources only.")]
        | UnsetType
    ) = UNSET
    dropped_by: (
        Annotated[dict[str, int], Meta(description="Cause -> frames lost since the last record; live sources only.")]
        | UnsetType
    ) = UNSET


class Recorder:
    """Makes the records of one source; in a live one's each says what was lost since the last."""

    def __init__(self, live: bool) -> None:
        self._live = live
        self._dropped: dict[str, int] = {}

    def record(self, tracks: Tracks) -> Record:
        """Record of the source's next frame."""
        if not self._live:
            return record_of(tracks)
        self._count(tracks.frame.dropped)
        dropped, self._dropped = self._dropped, {}
        return live_record_of(tracks, dropped)

    def drop(self, drop: Drop) -> None:
        """Take note of a frame that gets no record."""
        self._count(drop.frame.dropped)
        self._count({drop.cause: 1})

    def _count(self, dropped: Mapping[str, int]) -> None:
        for cause, frames in dropped.items():
            self._dropped[cause] = self._dropped.get(cause, 0) + frames


def live_record_of(tracks: Tracks, dropped_by: dict[str, int]) -> Record:
    """The record of a live source's frame, which says besides how old it is and what was lost before it.

    Args:
        tracks: of the frame.
        dropped_by: cause -> frames lost since the last record.
    """
    frame = tracks.frame
    stages_ms = {name: round((at_ns - frame.captured_ns) / 1e6, 1) for name, at_ns in frame.times_ns.items()}
    wall = datetime.fromtimestamp(frame.wall_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    return structs.replace(
        record_of(tracks),
        dropped=sum(dropped_by.values()),
        wall=wall.replace("+00:00", "Z"),
        age_ms=max(stages_ms.values(), default=0.0),
        stages_ms=stages_ms,
        dropped_by=dropped_by,
    )


def record_of(tracks: Tracks) -> Record:
    """Record of a frame: pixels to a hundredth, scores to a ten-thousandth, time to a microsecond."""
    frame, people = tracks.frame, tracks.people
    confidence = people.confidence.round(4)[..., None]
    keypoints = np.concatenate([_pixels(tracks.smooth), confidence.astype(np.float64).round(4)], -1).tolist()
    raw, boxes = _pixels(people.keypoints).tolist(), _pixels(people.boxes).tolist()
    scores = people.scores.astype(np.float64).round(4).tolist()
    spreads = [UNSET] * len(people) if people.spread_px is None else _pixels(people.spread_px).tolist()
    tracked: Literal["seen", "predicted"] = "predicted" if tracks.predicted else "seen"
    return Record(
        source=frame.source,
        epoch=frame.epoch,
        index=frame.index,
        pts_s=round(frame.pts_ns / 1e9, 6),
        width=frame.width,
        height=frame.height,
        dropped=sum(frame.dropped.values()),
        flags=list(frame.flags),
        people=[
            Person(number, scores[at], boxes[at], keypoints[at], raw[at], tracked, spreads[at])
            for at, number in enumerate(tracks.ids.tolist())
        ],
        pixel_aspect=frame.pixel_aspect if frame.pixel_aspect != (1, 1) else UNSET,
    )


def schema() -> bytes:
    """JSON Schema of a record."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Record)}
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def _pixels(values: F) -> NDArray[np.float64]:
    pixels: NDArray[np.float64] = values.astype(np.float64).round(2)
    return pixels


if __name__ == "__main__":
    SCHEMA_FILE.write_bytes(schema())
