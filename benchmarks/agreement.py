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
import time
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from configs.load import load
from configs.schema import EngineSettings
from engines.ops.agreement import agreement
from engines.ops.people import People
from engines.pose_engine import PoseEngine
from stream.messages import Frame
from stream.runtime.topology import Pipeline
from stream.sources import find

SURE = 0.3


def main() -> None:
    asked = _arguments()
    chosen = [f"engine.model={asked.model}", f"engine.weights={asked.weights}"]
    settings = load(None, [*chosen, "engine.mode=fast", *asked.set]).engine
    exact = PoseEngine(load(None, [*chosen, *_backends(settings)]).engine)
    fast = PoseEngine(settings)
    for note in fast.notes:
        print(note)
    times_s, alike, sure, people = _compare(exact, fast, _frames(asked.clips, asked.every), asked)
    found = ~np.isnan(alike)
    exact_s, fast_s = (statistics.median(each) for each in times_s)
    print(
        f"{exact.architecture.name}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"{platform.processor() or platform.machine()}: {len(times_s[0])} frames, {people[0]:.1f} and {people[1]:.1f} "
        f"people a frame in exact and in {settings.mode}"
    )
    print(f"exact {1e3 * exact_s:.1f} ms, {settings.mode} {1e3 * fast_s:.1f} ms: {exact_s / fast_s:.2f} times as fast")
    print(
        f"of {len(alike)} people {found.mean():.1%} found; mean OKS {alike[found].mean():.3f}, "
        f"of keypoints at least {SURE} sure {np.nanmean(sure):.3f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="videos")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--every", type=int, default=10, help="look at every so manieth frame (default: 10)")
    parser.add_argument("--height-min", type=float, default=100.0, help="people at least so tall count, in pixels")
    parser.add_argument("--score-min", type=float, default=0.5, help="people that exact scores so count")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of the mode")
    return parser.parse_args()


def _backends(settings: EngineSettings) -> list[str]:
    return [f"engine.{name}={getattr(settings, name)}" for name in ("backend", "device", "precision", "threads")]


def _frames(clips: Sequence[str], every: int) -> Iterable[NDArray[np.uint8]]:
    for spec in find(list(clips)):
        frames = (each for each in Pipeline().source([spec], load(None), lambda: False) if isinstance(each, Frame))
        for frame in islice(frames, 0, None, every):
            yield frame.pixels.array


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


def _timed(engine: PoseEngine, frame: NDArray[np.uint8], times_s: list[float]) -> People:
    started_s = time.perf_counter()
    people = engine([frame])[0]
    times_s.append(time.perf_counter() - started_s)
    return people


if __name__ == "__main__":
    main()
