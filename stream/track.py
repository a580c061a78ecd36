"""Poses to tracks: one tracker a source."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from configs.schema import SmoothSettings, TrackSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO, Skeleton
from stream.arrays import pack, unpack
from stream.messages import Begin, End, Message, Poses, Tracks
from stream.stage import Stage
from stream.tracking.tracker import Tracker, TrackerState


class _State(Struct, frozen=True):
    """What is remembered of one source."""

    tracker: TrackerState
    clock: tuple[int, int, int]


class Track(Stage):
    """Poses in, Tracks out: who is who, numbered anew in each source.

    When a source's epoch rises, people who stand where they stood keep their ids, unless the picture's
    size has changed. The pictures of a folder may have nothing to do with each other, so there
    everybody is shown at first sight.
    """

    def __init__(
        self, track: TrackSettings, smooth: SmoothSettings, skeleton: Skeleton = COCO, with_others: bool = False
    ) -> None:
        """Take note of how people are followed.

        Args:
            track: who is whom.
            smooth: where their keypoints are.
            skeleton: which these are.
            with_others: Tracks also hold those who are not shown.
        """
        self._with_others = with_others
        self._track, self._smooth, self._skeleton = track, smooth, skeleton
        self._trackers: dict[str, Tracker] = {}
        self._clocks: dict[str, tuple[int, int, int]] = {}
        """Epoch, width and height of each source's newest frame."""

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                confirm_s = 0.0 if message.spec.kind == "images" else self._track.confirm_s
                track = self._track.model_copy(update={"confirm_s": confirm_s})
                self._trackers[message.spec.name] = Tracker(track, self._smooth, self._skeleton)
                self._clocks[message.spec.name] = (0, message.width, message.height)
                yield message
            case Poses():
                yield self._follow(message)
            case End():
                self._trackers.pop(message.source, None)
                self._clocks.pop(message.source, None)
                yield message
            case _:
                yield message

    def snapshot(self, source: str) -> bytes:
        return pack(_State(self._trackers[source].state(), self._clocks[source]))

    def restore(self, source: str, state: bytes) -> None:
        was = unpack(state, _State)
        self._trackers[source].restore(was.tracker)
        self._clocks[source] = was.clock

    def _follow(self, poses: Poses) -> Tracks:
        frame = poses.frame
        tracker = self._trackers[frame.source]
        epoch, *size = self._clocks[frame.source]
        if frame.epoch != epoch:
            tracker.restart(keep=size == [frame.width, frame.height])
        self._clocks[frame.source] = (frame.epoch, frame.width, frame.height)
        if poses.people is None:
            followed = tracker.carry_on(frame.pts_ns)
        else:
            followed = tracker.update(poses.people, frame.pts_ns)
        others = _others(poses.people, followed.people) if self._with_others and poses.people is not None else None
        return Tracks(frame, followed.people, followed.ids, followed.smooth, poses.people is None, others)


def _others(found: People, shown: People) -> People:
    """Those who were found and are not shown; whoever is shown has the box that was found."""
    is_shown = (found.boxes[:, None] == shown.boxes[None]).all(-1).any(1)
    return found.take(~is_shown)
