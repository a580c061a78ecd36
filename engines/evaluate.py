"""Score a network on labelled pictures.

    pip install 'posestream[train]'
    python -m engines.evaluate --data person_keypoints_val2017.json --images val2017 --model r50

Prints one table, and writes report.json and report.png where asked to. COCO's own program comes to the same AP.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from configs.errors import EXIT_INTERRUPTED, OutputError, PosestreamError, SourceError
from configs.schema import BackendName, ModelName
from engines.evaluation import plots
from engines.evaluation.report import Report, as_json, evaluate, lines
from engines.ops.skeleton import COCO
from engines.pose_engine import load
from engines.train import pictures
from engines.train.coco import read_coco
from engines.train.dataset import Dataset, split
from engines.train.yolo import read_yolo

_SCORE_MIN = 0.05
"""torchvision keeps nobody of a lower score; to AP they add next to nothing."""


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which one line or more tell what is wrong."""
    given = _parse(arguments)
    try:
        dataset = _dataset(given)
        for line in dataset.summary():
            print(line, file=sys.stderr)
        report = _report(given, dataset)
        print("\n".join(lines(report)))
        if given.out:
            _write(report, given.out)
    except PosestreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _dataset(given: argparse.Namespace) -> Dataset:
    if given.data.is_dir():
        dataset = read_yolo(given.data / "images", given.data / "labels", COCO.names)
    else:
        dataset = read_coco(given.data, given.images or given.data.parent / "images", truth_only=True)
    if dataset.keypoint_names != COCO.names:
        raise SourceError(f"{given.data} labels {', '.join(dataset.keypoint_names)}; expected {', '.join(COCO.names)}")
    if given.held_back:
        dataset = split(dataset)[1]
    chosen = sorted(dataset.pictures, key=lambda picture: picture.id)[: given.limit]
    if not chosen:
        raise SourceError(f"{given.data}: no picture is left to be scored")
    return dataset.only(chosen)


def _report(given: argparse.Namespace, dataset: Dataset) -> Report:
    engine = load(
        given.model,
        weights=given.weights,
        device=given.device,
        backend=given.backend,
        mode=given.mode,
        imgsz=given.imgsz,
        score_min=given.score_min,
    )
    for note in engine.notes:
        print(note, file=sys.stderr)
    started = time.perf_counter()
    found = []
    for picture in dataset.pictures:
        try:
            pixels = pictures.read(picture.path)
        except SourceError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        found.append((engine([pixels])[0], picture.target))
    if not found:
        raise SourceError(f"{given.data}: none of {len(dataset.pictures)} pictures can be read")
    print(f"{1e3 * (time.perf_counter() - started) / len(found):.0f} ms a picture, read and scored", file=sys.stderr)
    try:
        return evaluate(found, COCO.names, COCO.sigmas)
    except ValueError as error:
        raise SourceError(f"{given.data}: {error}") from error


def _write(report: Report, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(as_json(report), indent=1) + "\n")
        plots.write(report, folder / "report.png")
    except OSError as error:
        raise OutputError(f"the report cannot be written into {folder}: {error.strerror}") from error


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.evaluate", description="Score a network on labelled pictures."
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="a COCO keypoint file, or a folder with images/ and labels/ (YOLO-pose)",
    )
    parser.add_argument("--images", type=Path, help="the folder of a COCO file's pictures (default: images/ beside it)")
    parser.add_argument("--model", default="auto", choices=get_args(ModelName), help="architecture (default: auto)")
    parser.add_argument("--weights", default="auto", help="a file; auto: what belongs to the model (default)")
    parser.add_argument("--mode", default="exact", choices=("exact", "fast"), help="how to compute (default: exact)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--backend", default="auto", choices=get_args(BackendName), help="what runs it (default: auto)")
    parser.add_argument("--imgsz", type=_whole(64, 4096), help="short side that it sees (default: the mode's own)")
    parser.add_argument("--score-min", type=_share, default=_SCORE_MIN, help="least score (default: %(default)s)")
    parser.add_argument("--held-back", action="store_true", help="only pictures that engines.train never trains on")
    parser.add_argument("--limit", type=_whole(1, 10**9), help="the first so many pictures by number (default: all)")
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
