"""Following the people of one source: who is who from frame to frame, and where each keypoint steadily is.

Letters: R people followed, N people of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from configs.schema import SmoothSettings, TrackSettings
from engines.ops.people import F, People, joined, nobody
from engines.ops.skeleton import COCO, Skeleton
from stream.tracking.associate import associate, similarity
from stream.tracking.kalman import BoxKalman
from stream.tracking.smooth import Smoother, SmootherState

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Followed:
    """The people of a frame who are shown, in the order of their ids."""

    people: People
    """As detected."""
    ids: Ints
    """(N,) from 1, rising, never used again by the same tracker."""
    smooth: F
    """(N, K, 2) smoothed keypoints, pixels."""


class TrackerState(Struct, frozen=True):
    """All that a tracker remembers; the rows of its arrays are the R people followed."""

    next_id: int
    pts_ns: int | None
    now_ns: int
    motions: NDArray[np.float64]
    """(R, 6, 7), see `BoxKalman.state`."""
    smoother: SmootherState
    people: People
    ids: Ints
    born_ns: Ints
    seen_ns: Ints
    seen: NDArray[np.bool_]


class Tracker:
    """Follows the people of one source.

    A pose scored high that fits nobody starts a track; it is shown, and gets its id, once it has been followed
    for `confirm_s`. A frame without a person ends the track if it was last seen longer than `lost_after_s`
    ago, before it was ever shown longer than `confirm_s` ago.
    """

    def __init__(self, track: TrackSettings, smooth: SmoothSettings, skeleton: Skeleton = COCO) -> None:
        self._settings, self._skeleton = track, skeleton
        self._next_id = 1
        self._pts_ns: int | None = None
        self._now_ns = 0
        """Time that passed so far; unlike that of the frames, this clock never breaks."""
        # One row a person followed, in all that comes.
        self._motions: list[BoxKalman] = []
        self._smoother = Smoother(skeleton.size, smooth)
        self._people = nobody(skeleton.size)
        """As seen last."""
        self._ids: Ints = np.zeros(0, np.int64)
        """0: not yet shown."""
        self._born_ns: Ints = np.zeros(0, np.int64)
        self._seen_ns: Ints = np.zeros(0, np.int64)
        self._seen = np.zeros(0, bool)
        """In the newest frame."""

    def update(self, people: People, pts_ns: int) -> Followed:
        """Take the next frame's people; return those of them who are followed and shown.

        Args:
            people: all that were found, pixels of the source frame.
            pts_ns: when the frame is shown; at least that of the frame before, unless `restart` came between.
        """
        first = self._pts_ns is None
        self._advance(pts_ns)
        taken = self._continue(people)
        self._end_lost()
        free = people.scores >= self._settings.score_high
        free[taken] = False
        self._start(people.take(free))
        return self._show(at_once=first)

    def carry_on(self, pts_ns: int) -> Followed:
        """The people of a frame in which nobody was looked for: those of the last one, where they should be by now.

        Args:
            pts_ns: as in `update`.
        """
        self._advance(pts_ns)
        expected = self._expected()
        shown = self._shown()
        moved = expected.keypoints[shown] - self._people.keypoints[shown]
        smooth = (self._smoother.xy[shown] + moved).astype(np.float32)
        return Followed(expected.take(shown), self._ids[shown], smooth)

    def restart(self, keep: bool) -> None:
        """Expect a new clock: the next frame counts as a first one, whose people are shown at once.

        Args:
            keep: whether people may stand where they stood; False ends all tracks.
        """
        self._pts_ns = None
        self._keep((self._ids > 0) & keep)
        self._smoother.restart()
        self._motions = [BoxKalman(motion.box) for motion in self._motions]

    def state(self) -> TrackerState:
        """All that it remembers between two frames."""
        return TrackerState(
            self._next_id,
            self._pts_ns,
            self._now_ns,
            np.array([motion.state() for motion in self._motions]).reshape(-1, 6, 7),
            self._smoother.state(),
            self._people,
            self._ids,
            self._born_ns,
            self._seen_ns,
            self._seen,
        )

    def restore(self, state: TrackerState) -> None:
        """Follow on from what another tracker with the same settings remembered."""
        self._next_id, self._pts_ns, self._now_ns = state.next_id, state.pts_ns, state.now_ns
        self._motions = [BoxKalman.of(motion) for motion in state.motions]
        self._smoother.restore(state.smoother)
        self._people = People(**{name: each.copy() for name, each in state.people.arrays().items()})
        self._ids, self._born_ns, self._seen_ns = state.ids.copy(), state.born_ns.copy(), state.seen_ns.copy()
        self._seen = state.seen.copy()

    def _advance(self, pts_ns: int) -> None:
        elapsed_ns = 0 if self._pts_ns is None else max(pts_ns - self._pts_ns, 0)
        self._pts_ns = pts_ns
        self._now_ns += elapsed_ns
        for motion in self._motions:
            motion.predict(elapsed_ns / 1e9)

    def _continue(self, people: People) -> NDArray[np.intp]:
        """Let each track take its pose; return the indices of those taken."""
        alike = similarity(self._expected(), people, self._skeleton)
        rows, columns = associate(alike, people.scores, self._ids > 0, self._settings)
        self._seen[:] = False
        self._see(rows, people.take(columns))
        return columns

    def _expected(self) -> People:
        """Everybody as seen last, moved to where they should be now."""
        if not self._motions:
            return nobody(self._skeleton.size)
        boxes = np.array([motion.box for motion in self._motions], np.float32)
        velocity = np.array([motion.velocity_px_s for motion in self._motions])
        moved = velocity * ((self._now_ns - self._seen_ns) / 1e9)[:, None]
        keypoints = self._people.keypoints + moved[:, None].astype(np.float32)
        return replace(self._people, boxes=boxes, keypoints=keypoints)

    def _see(self, rows: NDArray[np.intp], people: People) -> None:
        for row, box in zip(rows, people.boxes, strict=True):
            self._motions[row].update(box)
        unseen_s = (self._now_ns - self._seen_ns[rows]) / 1e9
        size_px = np.sqrt(people.areas_px2)
        self._smoother.update(rows, people.keypoints, people.confidence, size_px, unseen_s)
        mine = self._people.arrays()
        for name, each in people.arrays().items() if len(rows) else ():
            mine[name][rows] = each
        self._seen[rows], self._seen_ns[rows] = True, self._now_ns

    def _end_lost(self) -> None:
        patience_s = np.where(self._ids > 0, self._settings.lost_after_s, self._settings.confirm_s)
        self._keep(self._now_ns - self._seen_ns <= patience_s * 1e9)

    def _keep(self, which: NDArray[np.bool_]) -> None:
        self._motions = [self._motions[row] for row in np.flatnonzero(which)]
        self._smoother.keep(which)
        self._people = self._people.take(which)
        self._ids, self._born_ns, self._seen_ns = self._ids[which], self._born_ns[which], self._seen_ns[which]
        self._seen = self._seen[which]

    def _start(self, people: People) -> None:
        self._motions += [BoxKalman(box) for box in people.boxes]
        self._smoother.add(people.keypoints)
        self._people = joined(self._people, people)
        now_ns = np.full(len(people), self._now_ns)
        self._ids = np.concatenate([self._ids, np.zeros_like(now_ns)])
        self._born_ns = np.concatenate([self._born_ns, now_ns])
        self._seen_ns = np.concatenate([self._seen_ns, now_ns])
        self._seen = np.concatenate([self._seen, now_ns >= 0])

    def _show(self, at_once: bool) -> Followed:
        old = at_once | (self._now_ns - self._born_ns >= self._settings.confirm_s * 1e9)
        new = np.flatnonzero(self._seen & (self._ids == 0) & old)
        self._ids[new] = self._next_id + np.arange(len(new))
        self._next_id += len(new)
        shown = self._shown()
        return Followed(self._people.take(shown), self._ids[shown], self._smoother.xy[shown].astype(np.float32))

    def _shown(self) -> NDArray[np.intp]:
        """Rows of those who have an id and were in the last frame that was looked at, ids rising."""
        shown = np.flatnonzero(self._seen & (self._ids > 0))
        return shown[np.argsort(self._ids[shown])]
