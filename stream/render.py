"""The stage that draws on the frames of tracks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from configs.errors import EngineError
from configs.video import RenderSettings
from engines.ops.skeleton import COCO, Skeleton
from stream.arrays import pack, unpack
from stream.faces import Area, faces_of
from stream.messages import Begin, End, Frame, Message, Pixels, Tracks
from stream.stage import Stage

if TYPE_CHECKING:
    from stream.draw import Canvas

_WIDTH_PX_MIN = 16  # a scale from there on is a width
_FACE_HELD_S = 1.0  # a face stays blurred where its person was lost
_FACE_GROWS = 1.25
_RATE_TAU_S = 1.0  # the shown rate answers within about a second and does not flicker


def check_opencv() -> None:
    """Load OpenCV.

    Raises:
        EngineError: it cannot be loaded; on a bare Debian or Ubuntu a system library is missing.
    """
    try:
        import stream.draw  # noqa: F401
    except ImportError as error:
        raise EngineError(
            f"OpenCV cannot be loaded: {error}; on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
        ) from error


@dataclass
class _Seen:
    """What is remembered of one source."""

    live: bool = False
    epoch: int = 0
    pts_ns: int | None = None
    interval_s: float | None = None
    trails: dict[int, list[tuple[int, tuple[float, float]]]] = field(default_factory=dict)
    """By id: when, and where the middle of the box was; oldest first."""
    faces: dict[int, tuple[int, list[Area]]] = field(default_factory=dict)
    """By id, below 0 without one: when, and where the face was."""


class Render(Stage):
    """Tracks in, Tracks out, the picture of their frame a drawn copy, which may have another size.

    People stay where they are in the source's picture.

    The line below tells, of a live source, frames a second and age; of any other, only what the
    video itself says: its overlay is a function of video, weights and settings, however fast the machine.
    """

    def __init__(self, settings: RenderSettings, skeleton: Skeleton = COCO) -> None:
        """Load OpenCV.

        Raises:
            EngineError: it cannot be loaded.
        """
        check_opencv()
        from stream.draw import Canvas, colour_of  # not at the top: there `check_opencv` could not speak

        self._canvas, self._colour_of = Canvas, colour_of
        self._settings, self._skeleton = settings, skeleton
        self._seen: dict[str, _Seen] = {}

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                self._seen[message.spec.name] = _Seen(message.live)
            case End():
                self._seen.pop(message.source, None)
            case Tracks():
                yield self._drawn(message, self._seen.setdefault(message.frame.source, _Seen()))
                return
        yield message

    def snapshot(self, source: str) -> bytes:
        return pack(self._seen[source])

    def restore(self, source: str, state: bytes) -> None:
        self._seen[source] = unpack(state, _Seen)

    def _drawn(self, tracks: Tracks, seen: _Seen) -> Tracks:
        frame = tracks.frame
        if frame.epoch != seen.epoch:
            seen.epoch, seen.pts_ns, seen.trails, seen.faces = frame.epoch, None, {}, {}
        picture = self._source(tracks, seen)
        height, width, _ = picture.shape
        canvas = self._canvas(np.zeros_like(picture) if self._settings.skeleton_only else picture, self._skeleton)
        x, y = width / frame.width, height / frame.height
        smooth = tracks.smooth * np.array([x, y], np.float32)
        self._draw(canvas, structs.replace(tracks, people=tracks.people.scaled(x, y), smooth=smooth), seen)
        drawn = np.concatenate([picture, canvas.picture], 1) if self._settings.side_by_side else canvas.picture
        slot = frame.pixels.slot if frame.pixels else None  # still to be released when the frame is done with
        height, width, _ = drawn.shape
        shown = structs.replace(frame, width=width, height=height, pixels=Pixels(drawn, slot))
        return structs.replace(tracks, frame=shown)

    def _source(self, tracks: Tracks, seen: _Seen) -> NDArray[np.uint8]:
        """The picture as it may be seen, at the size that is wanted."""
        from stream.draw import blurred, resized

        picture = tracks.frame.picture
        if self._settings.blur_faces:
            picture = blurred(picture, _faces(tracks, seen, self._skeleton))
        scale = self._settings.scale
        if scale is None:
            return picture
        factor = scale if scale < _WIDTH_PX_MIN else scale / tracks.frame.width
        height, width, _ = picture.shape
        return resized(picture, max(1, round(width * factor)), max(1, round(height * factor)))

    def _draw(self, canvas: Canvas, tracks: Tracks, seen: _Seen) -> None:
        if self._settings.trail_s:
            self._remember(tracks, seen.trails)
            for number, steps in seen.trails.items():
                canvas.path(np.array([middle for _, middle in steps], np.float32), self._colour_of(number))
        self._people(canvas, tracks)
        _measure(tracks.frame, seen)
        if self._settings.hud:
            canvas.note(_line(tracks, seen))

    def _people(self, canvas: Canvas, tracks: Tracks) -> None:
        people = tracks.people
        colours = [self._colour_of(number) for number in tracks.ids.tolist()]
        for at, colour in enumerate(colours):
            canvas.corners(people.boxes[at], colour)
            size_px = float(np.sqrt(people.areas_px2[at]))
            canvas.skeleton(tracks.smooth[at], people.confidence[at], size_px, colour, self._settings.kpt_thr)
        if self._settings.labels:  # after everybody: no skeleton runs over a label
            for at, colour in enumerate(colours):
                canvas.label(f"#{tracks.ids[at]}", f"{people.scores[at]:.2f}", people.boxes[at], colour)

    def _remember(self, tracks: Tracks, trails: dict[int, list[tuple[int, tuple[float, float]]]]) -> None:
        """Add where everybody is; forget what is older than a trail, and who has none left."""
        now_ns = tracks.frame.pts_ns
        for number, box in zip(tracks.ids.tolist(), tracks.people.boxes, strict=True):
            x, y = box.reshape(2, 2).mean(0).tolist()
            trails.setdefault(number, []).append((now_ns, (x, y)))
        for number, steps in list(trails.items()):
            trails[number] = [step for step in steps if now_ns - step[0] <= self._settings.trail_s * 1e9]
            if not trails[number]:
                del trails[number]


def _faces(tracks: Tracks, seen: _Seen, skeleton: Skeleton) -> list[Area]:
    """Where faces are: of all who were found, and larger, for a moment, of those who were found before."""
    now_ns = tracks.frame.pts_ns
    found = dict(zip(tracks.ids.tolist(), faces_of(tracks.people, skeleton), strict=True))
    if tracks.others is not None:
        found |= dict(enumerate(faces_of(tracks.others, skeleton), -len(tracks.others)))
    if not tracks.predicted:  # who has no id is found anew in each frame that was looked at
        seen.faces = {number: face for number, face in seen.faces.items() if number > 0}
    seen.faces |= {number: (now_ns, face) for number, face in found.items()}
    seen.faces = {number: face for number, face in seen.faces.items() if now_ns - face[0] <= _FACE_HELD_S * 1e9}
    held = [area for number, (_, face) in seen.faces.items() if number not in found for area in face]
    grown = [(x, y, _FACE_GROWS * rx, _FACE_GROWS * ry) for x, y, rx, ry in held]
    return [area for face in found.values() for area in face] + grown


def _measure(frame: Frame, seen: _Seen) -> None:
    """Follow the time between frames: an average that forgets, by the source's clock."""
    if seen.pts_ns is not None:
        step_s = (frame.pts_ns - seen.pts_ns) / 1e9
        if seen.interval_s is None:
            seen.interval_s = step_s
        else:
            seen.interval_s += (step_s - seen.interval_s) * (1 - math.exp(-step_s / _RATE_TAU_S))
    seen.pts_ns = frame.pts_ns


def _line(tracks: Tracks, seen: _Seen) -> str:
    frame, count = tracks.frame, len(tracks.people)
    people = "1 person" if count == 1 else f"{count} people"
    if not seen.live:
        minutes, ms = divmod(abs(frame.pts_ns) // 1_000_000, 60_000)
        sign = "-" if frame.pts_ns < 0 else ""
        return f"{sign}{minutes:02d}:{ms // 1000:02d}.{ms % 1000:03d} | frame {frame.index} | {people}"
    parts = [people]
    if frame.times_ns:
        parts.insert(0, f"age {(max(frame.times_ns.values()) - frame.captured_ns) / 1e6:.0f} ms")
    if seen.interval_s:
        parts.insert(0, f"{1 / seen.interval_s:.1f} fps")
    return " | ".join(parts)
