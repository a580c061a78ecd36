"""Smooth the keypoints of a finished run over past and future alike, without lag, and draw its overlay anew.

    python -m stream.smooth_offline runs/clip                    # into runs/clip/offline/
    python -m stream.smooth_offline runs/clip --no-video --out elsewhere
    python -m stream.smooth_offline runs/clip --source moved.mp4

Tracks are held in memory whole: about 300 bytes a person and frame.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from msgspec import structs

from configs.errors import EXIT_INTERRUPTED, PosestreamError
from configs.schema import OutputSettings, SmoothSettings
from stream.export.clip import Clip, open_run
from stream.export.jsonl import JSONL
from stream.outputs import output_folders
from stream.records import Person, Record
from stream.redraw import read_run, redraw, source_of
from stream.tracking.offline import F, smooth_track


@dataclass
class _Track:
    """One person within an epoch, from one gap that is too long to the next."""

    at: list[int] = field(default_factory=list)
    """Places among the clip's records."""
    people: list[Person] = field(default_factory=list)


def smoothed(clip: Clip, settings: SmoothSettings) -> Clip:
    """The records of a clip with keypoints smoothed by `smooth_track`.

    Raw keypoints are what is smoothed, so doing it twice is doing it once. A person unseen for no longer than
    `gap_s_max` is put in between, as "filled"; raw keypoints are then those of the straight line.
    """
    times_s = [record.pts_s for record in clip]
    people: dict[int, list[Person]] = {}
    for track in _tracks(clip, settings.gap_s_max):
        first, last = track.at[0], track.at[-1]
        for at, person in enumerate(_smooth(track, np.array(times_s[first : last + 1]), settings), first):
            people.setdefault(at, []).append(person)

    def read() -> Iterator[Record]:
        for at, record in enumerate(clip):
            yield structs.replace(record, people=sorted(people.get(at, []), key=lambda person: person.id))

    return replace(clip, read=read)


def _tracks(clip: Clip, gap_s_max: float) -> Iterator[_Track]:
    """All tracks, in the order of their ends."""
    open_: dict[int, tuple[_Track, int, float]] = {}
    for at, record in enumerate(clip):
        for person in record.people:
            if person.tracked == "filled":
                continue
            track, epoch, last_s = open_.get(person.id, (_Track(), record.epoch, record.pts_s))
            if epoch != record.epoch or record.pts_s - last_s > gap_s_max:
                yield track
                track = _Track()
            track.at.append(at)
            track.people.append(person)
            open_[person.id] = (track, record.epoch, record.pts_s)
    yield from (track for track, _, _ in open_.values())


def _smooth(track: _Track, times_s: F, settings: SmoothSettings) -> Iterator[Person]:
    """The person in every frame from the track's first to its last."""
    at = np.array(track.at) - track.at[0]
    rows = np.array([_row(person) for person in track.people])  # (seen, 5 + 3 K): box, score, raw x, y, confidence
    whole = np.stack([np.interp(times_s, times_s[at], column) for column in rows.T], 1)
    boxes, scores = whole[:, :4], whole[:, 4]
    points = whole[:, 5:].reshape(len(whole), -1, 3)
    confidence = np.full(points.shape[:2], np.nan)
    seen = np.array([person.tracked == "seen" for person in track.people])
    confidence[at[seen]] = points[at[seen], :, 2]
    sizes_px = np.sqrt(np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1))
    smooth = smooth_track(times_s, points[..., :2], confidence, sizes_px, settings).round(2)
    known = dict(zip(at.tolist(), track.people, strict=True))
    for place, xy in enumerate(smooth):
        keypoints = [(x, y, sure) for (x, y), sure in zip(xy.tolist(), points[place, :, 2].tolist(), strict=True)]
        if place in known:
            yield structs.replace(known[place], keypoints=keypoints)
        else:
            box, raw = boxes[place].round(2).tolist(), points[place, :, :2].round(2).tolist()
            keypoints = [(x, y, round(sure, 4)) for x, y, sure in keypoints]
            score = round(float(scores[place]), 4)
            number = track.people[0].id
            yield Person(number, score, (box[0], box[1], box[2], box[3]), keypoints, [(x, y) for x, y in raw], "filled")


def _row(person: Person) -> list[float]:
    points = zip(person.raw_keypoints, person.keypoints, strict=True)
    return [*person.box, person.score, *(value for (x, y), (_, _, sure) in points for value in (x, y, sure))]


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which a line tells what is wrong."""
    given = _parse(arguments)
    try:
        for path in _written(given):
            print(path)
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _written(given: argparse.Namespace) -> Iterator[Path]:
    """Paths of the outputs, each once it is written."""
    run = read_run(given.run)
    clip = open_run(given.run)
    source = source_of(run, given.source, with_pictures=given.video)
    out = OutputSettings(folder=str(given.out or given.run / "offline"), overwrite=given.overwrite)
    settings = run.settings.model_copy(update={"output": out})
    with output_folders([source], settings) as (placed,):
        folder = Path(placed.folder)
        smooth = smoothed(clip, settings.smooth)
        yield JSONL.export(smooth, folder, overwrite=True)
        if given.video and (overlay := redraw(smooth, placed, settings)):
            yield overlay
        yield run.write(folder, "smoothed offline")


def _parse(arguments: list[str]) -> argparse.Namespace:
    about, _, examples = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m stream.smooth_offline",
        description=about,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a source's folder in runs/")
    parser.add_argument("--source", metavar="FILE", help="the video, where it is not any more where it was")
    parser.add_argument("--no-video", dest="video", action="store_false", help="smooth the records alone")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to (default: offline/ in the run's folder)")
    parser.add_argument("--overwrite", action="store_true", help="write into the folder though it is there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
