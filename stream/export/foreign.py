"""What readers of other programs' forms share: the records that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream.records import Person, Record


@dataclass(frozen=True)
class Pose:
    """One person as another program wrote them."""

    keypoints: Sequence[tuple[float, float, float]]
    """K times x, y, confidence; confidence is cut to 0..1."""
    number: int | None = None
    """Identity, above 0; None: not known."""
    score: float | None = None
    """None: the mean confidence of the keypoints that were found."""
    box: tuple[float, float, float, float] | None = None
    """x1, y1, x2, y2; None: around the keypoints that were found."""


@dataclass(frozen=True)
class Foreign:
    """What other programs do not write down of a video, and what their records are called."""

    source: str
    size: tuple[int, int]
    """Width and height, pixels."""
    fps: float

    def record(self, index: int, poses: Sequence[Pose]) -> Record:
        """Record of a frame; people without an identity are numbered within the frame, after the others."""
        free = max((pose.number or 0 for pose in poses), default=0)
        people = []
        for pose in poses:
            free += pose.number is None
            people.append(_person(pose, pose.number or free))
        return Record(
            source=self.source,
            epoch=0,
            index=index,
            pts_s=round(index / self.fps, 6),
            width=self.size[0],
            height=self.size[1],
            dropped=0,
            flags=[],
            people=sorted(people, key=lambda person: person.id),
        )


def _person(pose: Pose, number: int) -> Person:
    keypoints = [(x, y, min(max(sure, 0.0), 1.0)) for x, y, sure in pose.keypoints]
    found = [point for point in keypoints if point[2] > 0] or keypoints
    xs, ys = [point[0] for point in found], [point[1] for point in found]
    score = sum(point[2] for point in found) / len(found) if pose.score is None else pose.score
    box = pose.box or (min(xs), min(ys), max(xs), max(ys))
    raw = [(x, y) for x, y, _ in keypoints]
    return Person(number, min(max(score, 0.0), 1.0), box, keypoints, raw, "seen")
