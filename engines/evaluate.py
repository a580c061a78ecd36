"""Score a network on labelled pictures.

    python -m engines.evaluate --data person_keypoints_val2017.json --images val2017 --model r50

    python -m engines.evaluate --drawn 200                    # on drawn people, without any data
    python -m engines.evaluate --data … --rotate 15 45 90     # and how much turning a picture changes
    python -m engines.evaluate --data … --skeleton hand.yaml  # of other keypoints: a file with a part `skeleton:`

Prints one table, and writes report.json and report.png where asked to. COCO's own program comes to the same AP.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from configs.errors import EXIT_INTERRUPTED, OutputError, PosestreamError, SourceError
from configs.load import load_as
from configs.schema import BackendName, EngineSettings, ModelName
from configs.skeleton import SkeletonSettings
from configs.train import DataSettings
from engines.evaluation import plots
from engines.evaluation.report import Report, as_json, evaluate, lines
from engines.evaluation.uncertainty import rotation_errors
from engines.ops.people import People
from engines.ops.skeleton import COCO, Skeleton
from engines.pose_engine import PoseEngine
from engines.train import pictures
from engines.train.dataset import Dataset, split
from engines.train.material import dataset as read
from engines.train.synthetic import Still, picture
from engines.train.target import Sample, Target

_SCORE_MIN = 0.05
"""torchvision keeps nobody of a lower score; to AP they add next to nothing."""
_DRAWN_SEED = 2_000_000_000
"""Far from any that a training uses."""


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which one line or more tell what is wrong."""
    given = _parse(arguments)
    try:
        engine = _engine(given)
        found, errors = _found(engine, given)
        report = _report(found, given, _skeleton(given))
        print("\n".join(lines(report) + _rotation_lines(errors)))
        if given.out:
            _write({**as_json(report), "rotation": errors}, report, given.out)
    except PosestreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _labelled(given: argparse.Namespace) -> Iterator[Sample]:
    """The pictures and their labels, one after the other."""
    if given.drawn:
        rng = np.random.default_rng(_DRAWN_SEED)
        yield from (picture(Still(people=tuple(given.people)), rng) for _ in range(given.drawn))
        return
    dataset = _dataset(given)
    for line in dataset.summary():
        print(line, file=sys.stderr)
    for labelled in dataset.pictures:
        try:
            yield Sample(pictures.read(labelled.path), labelled.target)
        except SourceError as error:
            print(f"left out: {error}", file=sys.stderr)


def _dataset(given: argparse.Namespace) -> Dataset:
    where = DataSettings(labels=str(given.data), images=given.images and str(given.images))
    dataset = read(where, _skeleton(given), truth_only=True)
    if given.held_back:
        dataset = split(dataset)[1]
    chosen = sorted(dataset.pictures, key=lambda picture: picture.id)[: given.limit]
    if not chosen:
        raise SourceError(f"{given.data}: no picture is left to be scored")
    return dataset.only(chosen)


def _skeleton(given: argparse.Namespace) -> Skeleton:
    return COCO if given.skeleton is None else Skeleton(load_as(_SkeletonFile, given.skeleton).skeleton)


class _SkeletonFile(BaseModel):
    """Of a settings file the one part that is needed here; whatever else is in it may stay."""

    skeleton: SkeletonSettings = SkeletonSettings()


def _engine(given: argparse.Namespace) -> PoseEngine:
    settings = EngineSettings(
        model=given.model,
        weights=given.weights,
        device=given.device,
        backend=given.backend,
        mode=given.mode,
        imgsz=given.imgsz,
        score_min=given.score_min,
        grouping=given.grouping,
    )
    engine = PoseEngine(settings, _skeleton(given))
    for note in engine.notes:
        print(note, file=sys.stderr)
    return engine


def _found(
    engine: PoseEngine, given: argparse.Namespace
) -> tuple[list[tuple[People, Target]], dict[str, float | None]]:
    """The people of each picture beside its labels; and of each angle the mean error of turning."""
    found: list[tuple[People, Target]] = []
    errors: list[list[float]] = []
    spent_s = 0.0

    def find(pixels: NDArray[np.uint8]) -> People:
        return engine([pixels])[0]

    for sample in _labelled(given):
        started = time.perf_counter()
        found.append((find(sample.pixels), sample.target))
        spent_s += time.perf_counter() - started
        if given.rotate:
            errors.append(rotation_errors(find, sample.pixels, _skeleton(given).sigmas, given.rotate))
    if not found:
        raise SourceError(f"{given.data}: none of its pictures can be read")
    print(f"{1e3 * spent_s / len(found):.0f} ms a picture", file=sys.stderr)
    return found, {
        f"{angle:g}": _mean(each) for angle, each in zip(given.rotate, zip(*errors, strict=True), strict=True)
    }


def _mean(errors: Sequence[float]) -> float | None:
    known = [error for error in errors if math.isfinite(error)]
    return sum(known) / len(known) if known else None


def _rotation_lines(errors: dict[str, float | None]) -> list[str]:
    if not errors:
        return []
    rows = [f"{angle:>8} degrees: {'-' if error is None else f'{error:.3f}'}" for angle, error in errors.items()]
    return ["", "keypoints move when the picture is turned, as a share of sqrt(area of the box):", *rows]


def _report(found: Sequence[tuple[People, Target]], given: argparse.Namespace, skeleton: Skeleton) -> Report:
    try:
        return evaluate(found, skeleton.names, skeleton.sigmas)
    except ValueError as error:
        raise SourceError(f"{given.data or 'drawn people'}: {error}") from error


def _write(content: dict[str, Any], report: Report, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(content, indent=1) + "\n")
        plots.write(report, folder / "report.png")
    except OSError as error:
        raise OutputError(f"the report cannot be written into {folder}: {error.strerror}") from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.evaluate", description="Score a network on labelled pictures."
    )
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument(
        "--data", type=Path, help="a COCO keypoint file, or a folder with images/ and labels/ (YOLO-pose)"
    )
    labels.add_argument("--drawn", type=_whole(1, 10**6), metavar="N", help="so many pictures of drawn people instead")
    parser.add_argument(
        "--people", type=_whole(0, 100), nargs=2, default=(1, 6), metavar=("LEAST", "MOST"), help="in a drawing (1 6)"
    )
    parser.add_argument("--images", type=Path, help="the folder of a COCO file's pictures (default: images/ beside it)")
    parser.add_argument("--skeleton", metavar="FILE", help="a settings file with a part `skeleton:` (default: COCO)")
    parser.add_argument("--model", default="auto", choices=get_args(ModelName), help="architecture (default: auto)")
    parser.add_argument("--weights", default="auto", help="a file; auto: what belongs to the model (default)")
    parser.add_argument("--mode", default="exact", choices=("exact", "fast"), help="how to compute (default: exact)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--backend", default="auto", choices=get_args(BackendName), help="what runs it (default: auto)")
    parser.add_argument("--imgsz", type=_whole(64, 4096), help="short side that it sees (default: the mode's own)")
    parser.add_argument("--grouping", default="paf", choices=("tags", "paf"), help="of bottom-up (default: paf)")
    parser.add_argument("--score-min", type=_share, default=_SCORE_MIN, help="least score (default: %(default)s)")
    parser.add_argument("--held-back", action="store_true", help="only pictures that engines.train never trains on")
    parser.add_argument("--limit", type=_whole(1, 10**9), help="the first so many pictures by number (default: all)")
    parser.add_argument(
        "--rotate", type=float, nargs="+", default=[], metavar="DEGREES", help="also turn each picture; clockwise"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write report.json and report.png into it")
    return parser.parse_args(arguments)


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"got {text}, expected a whole number from {least} through {most}")
        return int(text)

    return whole


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a share in 0..1")
    return share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
