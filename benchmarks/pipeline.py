"""The pipeline against its own engine and against a naive loop, in one run on the same clip.

    python benchmarks/pipeline.py                     # a made 720p clip with six people
    python benchmarks/pipeline.py --clip my.mp4
    python benchmarks/pipeline.py --memory-frames 2000

Prints frames a second of the bare engine, of the pipeline as processes and as threads, and of one thread that
decodes, infers, draws and writes in turn: medians over interleaved repeats, and their ratios. Then time and bytes a
frame for each stage, and memory at frame 200 and at the end of a long run.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import torch
from msgspec import structs

from configs.load import load, resolve
from configs.schema import Settings
from engines.pose_engine import PoseEngine
from stream.demo import FPS, make_scene
from stream.launch import launch
from stream.messages import Frame, SourceSpec, Tracks
from stream.pipeline import Pipeline
from stream.runtime.progress import Progress
from stream.sources.find import find
from stream.stage import Chain, run_here
from stream.summary import Summary


def main() -> None:
    asked = _arguments()
    settings = resolve(load(asked.config, asked.set))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = Path(asked.clip) if asked.clip else _six_people(folder / "six.mp4")
        _speed(settings, clip, folder, asked.repeats)
        if asked.memory_frames:
            _memory(settings, folder, asked.memory_frames)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", help="a video; default: a made one, 1280x720, six people")
    parser.add_argument("--config", help="YAML settings, or a preset's name")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory-frames", type=int, default=0, help="also run so many frames and watch the memory")
    return parser.parse_args()


def _six_people(path: Path) -> Path:
    make_scene(path, people=6, seconds=4.0)
    return path


def _speed(settings: Settings, clip: Path, folder: Path, repeats: int) -> None:
    engine = PoseEngine(settings.engine.model_copy(update={"score_min": settings.track.score_low}))
    pictures = [message.pixels.array for message in _decoded(settings, clip) if isinstance(message, Frame)]
    people = statistics.mean(len(engine([picture])[0]) for picture in pictures[:20])
    height, width, _ = pictures[0].shape
    print(
        f"{clip.name}: {len(pictures)} frames of {width}x{height}, {people:.1f} people a frame; "
        f"{settings.engine.model}, torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.processor()}"
    )
    processes = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"transport": "ipc"})})
    threads = settings.model_copy(update={"runtime": settings.runtime.model_copy(update={"transport": "inproc"})})
    summaries: list[Summary] = []
    rows: dict[str, Callable[[], float]] = {
        "bare engine": lambda: _bare(engine, pictures),
        "pipeline, processes": lambda: _pipeline(processes, clip, folder, summaries),
        "pipeline, threads": lambda: _pipeline(threads, clip, folder, []),
        "naive one-thread loop": lambda: _naive(settings, clip, folder),
    }
    fps: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repeats):
        for name, measure in rows.items():
            fps[name].append(measure())
    bare = statistics.median(fps["bare engine"])
    naive = statistics.median(fps["naive one-thread loop"])
    print(f"\n{'':24} {'fps':>7} {'/ bare':>7} {'/ naive':>8}   (median of {repeats}; all)")
    for name, values in fps.items():
        middle = statistics.median(values)
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:24} {middle:7.2f} {middle / bare:7.2f} {middle / naive:8.2f}   {each}")
    _stages(summaries[-1])


def _stages(summary: Summary) -> None:
    print(f"\n{'stage':10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'busy':>6}")
    for name, figures in summary.stages.items():
        share = figures.busy_s / summary.seconds
        print(f"{name:10} {figures.p50_ms:8.2f} {figures.p95_ms:8.2f} {figures.p99_ms:8.2f} {share:6.0%}")
    print("\ngroup        bytes a frame through its outlet   resident MB at its end")
    for group, sent in summary.sent_bytes.items():
        print(f"{group:12} {sent / max(summary.frames, 1):34.0f} {summary.memory_bytes[group] / 1e6:24.0f}")


def _decoded(settings: Settings, clip: Path) -> Iterable[object]:
    return Pipeline().source(find([str(clip)]), settings, lambda: False)


def _bare(engine: PoseEngine, pictures: list) -> float:
    started_s = time.monotonic()
    for picture in pictures:
        engine([picture])
    return len(pictures) / (time.monotonic() - started_s)


def _spec(clip: Path, folder: Path) -> list[SourceSpec]:
    (spec,) = find([str(clip)])
    return [structs.replace(spec, folder=tempfile.mkdtemp(dir=folder))]


def _pipeline(settings: Settings, clip: Path, folder: Path, summaries: list[Summary]) -> float:
    summary, failure = launch(settings, _spec(clip, folder), lambda: 0, lambda _: None)
    if failure:
        raise failure
    summaries.append(summary)
    return summary.fps


def _naive(settings: Settings, clip: Path, folder: Path) -> float:
    pipeline = Pipeline()
    names = [name for group in settings.stage_groups for name in group if name != "decode"]
    stage = Chain([pipeline.stage(name, settings) for name in names])
    messages = pipeline.source(_spec(clip, folder), settings, lambda: False)
    started_s = time.monotonic()
    frames = sum(isinstance(message, Tracks) for message in run_here(messages, stage))
    return frames / (time.monotonic() - started_s)


def _memory(settings: Settings, folder: Path, frames: int) -> None:
    clip = folder / "long.mp4"
    make_scene(clip, people=6, seconds=frames / FPS)
    taken: dict[int, float] = {}

    def watch(progress: Progress) -> None:
        done = progress.stages().get("track")
        if done and done.frames not in taken:
            taken[done.frames] = _proportional_bytes()

    launch(settings, _spec(clip, folder), lambda: 0, watch)
    early = next(count for count in taken if count >= 200)
    late = next(count for count in taken if count >= frames * 0.98)
    print("\nmemory of all processes together, each shared page counted once:")
    print(
        f"{taken[early] / 1e6:.0f} MB at frame {early}, {taken[late] / 1e6:.0f} MB at frame {late}, "
        f"at most {max(taken.values()) / 1e6:.0f} MB"
    )


def _proportional_bytes() -> float:
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


if __name__ == "__main__":
    main()
