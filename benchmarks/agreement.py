"""How much faster a mode is than `exact`, and how far the two agree, on clips.

    python benchmarks/agreement.py clips/*.mp4                              # lite, fast against exact
    python benchmarks/agreement.py --model r50 clips/*.mp4                  # wants its published weights
    python benchmarks/agreement.py --set engine.imgsz=256 clips/*.mp4       # anything else against exact

Agreement counts the people that `exact` scores at least 0.5 and that are over 100 pixels tall: the share of them that
the mode finds too, and the mean OKS between the two poses of one person, over all keypoints and over those that
`exact` is at least 0.3 sure of. Both engines see every frame in turn; times are medians a frame. Seeded random
weights would say nothing here.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from configs.errors import PosestreamError, SourceError
from configs.load import load
from configs.schema import EngineSettings, Settings
from engines.ops.agreement import agreement
from engines.ops.people import People
from engines.pose_engine import PoseEngine
from stream.messages import End, Frame, SourceSpec
from stream.pipeline import Pipeline
from stream.sources.find import find

SURE = 0.3
SHARED = ("model", "weights", "backend", "device", "precision", "threads")
"""Settings of `exact` too; the others are the mode's."""


def main(arguments: list[str]) -> int:
    asked = _parse(arguments)
    try:
        _measure(asked)
    except PosestreamError as error:
        for line in str(error).splitlines():
            print(f"agreement: {line}", file=sys.stderr)
        return error.exit_code
    return 0


def _measure(asked: argparse.Namespace) -> None:
    clips = find(asked.clips)
    named = {"engine.model": asked.model, "engine.weights": asked.weights}
    settings = load(None, ["engine.model=lite", "engine.mode=fast", *asked.set], named).engine
    exact = PoseEngine(EngineSettings(**{name: getattr(settings, name) for name in SHARED}))
    fast = PoseEngine(settings)
    for note in fast.notes:
        print(note)
    times_s, alike, sure, people = _compare(exact, fast, _frames(clips, asked.every), asked)
    exact_s, fast_s = (statistics.median(each) for each in times_s)
    print(
        f"{exact.architecture.name}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{platform.processor() or platform.machine()}: {len(times_s[0])} frames, {people[0]:.1f} and {people[1]:.1f} "
        f"people a frame in exact and in {settings.mode}"
    )
    print(f"exact {1e3 * exact_s:.1f} ms, {settings.mode} {1e3 * fast_s:.1f} ms: {exact_s / fast_s:.2f} times as fast")
    if not len(alike):
        raise SourceError(
            f"nobody to compare: exact found nobody over {asked.height_min:g} pixels tall and at least "
            f"{asked.score_min:g} sure; give other clips, or lower --height-min or --score-min"
        )
    print(
        f"of {len(alike)} people {np.mean(~np.isnan(alike)):.1%} found; mean OKS {_mean(alike)}, "
        f"of keypoints at least {SURE} sure {_mean(sure)}"
    )


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="videos")
    parser.add_argument("--model", help="default: lite")
    parser.add_argument("--weights", help="default: what belongs to the model")
    parser.add_argument("--every", type=_count, default=10, help="look at every so manieth frame (default: 10)")
    parser.add_argument("--height-min", type=float, default=100.0, help="people at least so tall count, in pixels")
    parser.add_argument("--score-min", type=float, default=0.5, help="people that exact scores so count")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of the mode")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number from 1 on")
    return int(text)


def _frames(clips: Sequence[SourceSpec], every: int) -> Iterable[NDArray[np.uint8]]:
    for message in Pipeline().source(clips, Settings(), lambda: False):
        if isinstance(message, Frame) and message.index % every == 0:
            yield message.pixels.array
        elif isinstance(message, End) and message.problem and not message.frames:
            raise SourceError(message.problem)


def _compare(
    exact: PoseEngine, fast: PoseEngine, frames: Iterable[NDArray[np.uint8]], asked: argparse.Namespace
) -> tuple[tuple[list[float], list[float]], NDArray[np.floating], NDArray[np.floating], tuple[float, float]]:
    times_s: tuple[list[float], list[float]] = ([], [])
    alike, sure, counts = [], [], []
    for frame in frames:
        ref, people = (_timed(engine, frame, times) for engine, times in zip((exact, fast), times_s, strict=True))
        counts.append((len(ref), len(people)))
        heights = ref.boxes[:, 3] - ref.boxes[:, 1]
        ref = ref.take((heights > asked.height_min) & (ref.scores >= asked.score_min))
        alike.append(agreement(ref, people))
        sure.append(agreement(ref, people, SURE))
    means = np.mean(counts, axis=0)
    return times_s, np.concatenate(alike), np.concatenate(sure), (float(means[0]), float(means[1]))


def _mean(alike: NDArray[np.floating]) -> str:
    counted = alike[~np.isnan(alike)]
    return f"{counted.mean():.3f}" if len(counted) else "unknown"


def _timed(engine: PoseEngine, frame: NDArray[np.uint8], times_s: list[float]) -> People:
    started_s = time.perf_counter()
    people = engine([frame])[0]
    times_s.append(time.perf_counter() - started_s)
    return people


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
