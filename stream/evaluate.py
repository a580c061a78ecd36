"""Score the tracks of a run against the truth: HOTA, MOTA, IDF1, switches, OKS, jitter.

    python -m stream.evaluate runs/demo                      # the demo's clip knows its truth
    python -m stream.evaluate runs/clip --truth gt.txt       # MOT Challenge: boxes alone
    python -m stream.evaluate runs/fast --truth runs/exact --json

People and tracks are compared by the overlap of their boxes, poses by OKS.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import EXIT_INTERRUPTED, PosestreamError, SourceError
from engines.evaluation.hota import hota
from engines.evaluation.jitter import off_the_line
from engines.evaluation.similarity import iou_to_truth
from engines.evaluation.tracking import NEAR, Frame, identities
from engines.ops.oks import oks
from engines.ops.skeleton import Skeleton
from engines.train.target import Target
from stream.export.clip import Clip, open_run
from stream.export.coco import VISIBLE_MIN
from stream.records import Record
from stream.truth import SCENE, read_truth

Tracks = dict[int, list[tuple[int, float, NDArray[np.float64], float]]]
"""Id -> frame, seconds, (K, 2) keypoints, NaN where unsure, and the person's size in pixels."""


@dataclass(frozen=True)
class Scores:
    """How near the records of a run come to the truth; NaN where there is nothing to be measured."""

    frames: int
    people: int
    """Labelled people over all frames."""
    hota: float
    detection: float
    association: float
    mota: float
    idf1: float
    switches: int
    found: float
    """Share of people who were found."""
    oks: float
    """Mean over those found; 1: every keypoint where it belongs."""
    jitter: float
    """How far keypoints lie from the line between the frames before and after, as a share of the person's size: root
    of the mean square."""
    truth_jitter: float
    """The same of the truth: what of it is motion."""


def evaluate(clip: Clip, truth: Sequence[Target]) -> Scores:
    """Scores of records against the people of each frame.

    Frames of the truth after the last record, and records after the last true frame, are left out.

    Raises:
        SourceError: no frame is in both.
    """
    frames: list[Frame] = []
    alike: list[float] = []
    tracks, true_tracks = Tracks(), Tracks()
    for record in clip:
        if record.index >= len(truth):
            break
        frames += [_frame(None, target) for target in truth[len(frames) : record.index]]
        target = truth[record.index]
        frames.append(_frame(record, target))
        alike += _oks(record, target, clip.skeleton)
        _gather(record, target, tracks, true_tracks)
    if not frames:
        raise SourceError(f"{clip.name} has no frame of the truth's {len(truth)}; is it the truth of another clip?")
    kept, higher = identities(frames), hota(frames)
    return Scores(
        frames=len(frames),
        people=sum(len(frame.truth) for frame in frames),
        hota=higher.hota,
        detection=higher.detection,
        association=higher.association,
        mota=kept.mota,
        idf1=kept.idf1,
        switches=kept.switches,
        found=kept.found,
        oks=float(np.mean(alike)) if alike else math.nan,
        jitter=_jitter(tracks),
        truth_jitter=_jitter(true_tracks),
    )


def lines(scores: Scores) -> list[str]:
    """A table for people."""
    shares = {
        "HOTA": scores.hota,
        "  detection (DetA)": scores.detection,
        "  association (AssA)": scores.association,
        "MOTA": scores.mota,
        "IDF1": scores.idf1,
        "people found": scores.found,
        "OKS of those found": scores.oks,
    }
    rows = [(name, "-" if math.isnan(share) else f"{share:.3f}") for name, share in shares.items()]
    rows.append(("id switches", str(scores.switches)))
    for name, jitter in (("jitter", scores.jitter), ("  of the truth", scores.truth_jitter)):
        rows.append((name, "-" if math.isnan(jitter) else f"{100 * jitter:.2f} % of the person's size"))
    return [f"{scores.frames} frames, {scores.people} people in them", *(f"{name:<22}{text}" for name, text in rows)]


def _frame(record: Record | None, target: Target) -> Frame:
    """Tracks beside people. Who is found where the truth ignores somebody counts neither way."""
    people = record.people if record else []
    boxes = np.array([person.box for person in people]).reshape(-1, 4)
    overlap, real = iou_to_truth(boxes, target), ~target.crowd
    counts = np.asarray((overlap[:, target.crowd] < NEAR).all(1)) | (overlap[:, real] >= NEAR).any(1)
    ids = [person.id for person, one in zip(people, counts.tolist(), strict=True) if one]
    return Frame(ids, target.ids[real].tolist(), overlap[counts][:, real])


def _oks(record: Record, target: Target, skeleton: Skeleton) -> list[float]:
    """Of each person with labelled keypoints who was found the OKS of the track that overlaps most."""
    target = target.take(~target.crowd & (target.labelled > 0))
    if not record.people or not len(target):
        return []
    boxes = np.array([person.box for person in record.people])
    xy = np.array([[point[:2] for point in person.keypoints] for person in record.people])
    overlap = iou_to_truth(boxes, target)
    seen = (target.visibility > 0).astype(float)
    similarity = oks(target.keypoints.astype(float), xy, target.areas_px2.astype(float), skeleton.sigmas, seen)
    whom = np.flatnonzero(overlap.max(0, initial=0) >= NEAR)
    return [float(similarity[person, overlap[:, person].argmax()]) for person in whom]


def _gather(record: Record, target: Target, tracks: Tracks, true_tracks: Tracks) -> None:
    for person in record.people:
        points = np.array(person.keypoints)
        points[points[:, 2] < VISIBLE_MIN] = np.nan
        seen = (record.index, record.pts_s, points[:, :2], _size_px(np.array(person.box)))
        tracks.setdefault(person.id, []).append(seen)
    for at in np.flatnonzero(~target.crowd):
        points = np.where(target.visibility[at, :, None] > 0, target.keypoints[at].astype(float), np.nan)
        seen = (record.index, record.pts_s, points, _size_px(target.boxes[at].astype(float)))
        true_tracks.setdefault(int(target.ids[at]), []).append(seen)


def _size_px(box: NDArray[np.float64]) -> float:
    return math.sqrt(max(float((box[2] - box[0]) * (box[3] - box[1])), 1.0))


def _jitter(tracks: Tracks) -> float:
    squares: list[NDArray[Any]] = []
    for seen in tracks.values():
        indices = np.array([index for index, *_ in seen])
        for part in np.split(np.arange(len(seen)), np.flatnonzero(np.diff(indices) != 1) + 1):
            times_s, sizes = (np.array([seen[at][column] for at in part]) for column in (1, 3))
            off = off_the_line(times_s, np.array([seen[at][2] for at in part]), sizes)
            squares.append(np.square(off[np.isfinite(off)]))
    every = np.concatenate([np.zeros(0), *squares])
    return float(np.sqrt(every.mean())) if len(every) else math.nan


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which a line tells what is wrong."""
    given = _parse(arguments)
    try:
        clip = open_run(given.run)
        folder = given.run if given.run.is_dir() else given.run.parent
        scores = evaluate(clip, read_truth(given.truth or folder / SCENE, clip.skeleton))
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    print(_as_json(scores) if given.json else "\n".join(lines(scores)))
    return 0


def _as_json(scores: Scores) -> str:
    known: dict[str, float] = asdict(scores)
    return json.dumps({name: None if math.isnan(value) else value for name, value in known.items()})


def _parse(arguments: list[str]) -> argparse.Namespace:
    about, _, examples = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m stream.evaluate",
        description=about,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a source's folder in runs/, or a keypoints.jsonl")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help=f"what is true (default: {SCENE} in the run's folder)"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
