"""Train a network on labelled pictures, or on drawn people.

    python -m engines.train configs/train-drawn.yaml --out runs/drawn
    python -m engines.train configs/train-lite.yaml --data person_keypoints.json --images pictures --budget 2h
    python -m engines.train --resume --out runs/drawn           # go on after Ctrl-C, or after a crash
    torchrun --nproc-per-node 4 -m engines.train configs/train-coco.yaml --data … --weights resnet50.pth

What it writes into its folder is told in docs/training.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from configs.errors import EXIT_INTERRUPTED, ConfigError, EngineError, OutputError, PosestreamError
from configs.load import load_as, presets
from configs.train import TrainSettings
from engines.train.processes import Processes, joined
from engines.train.session import CHECKPOINT, Session

_TYPED = {
    "data.labels": "--data",
    "data.images": "--images",
    "data.drawn": "--drawn",
    "run.budget": "--budget",
    "run.steps": "--steps",
    "init.from": "--weights",
}
_KEPT = "settings.yaml"


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which one line or more tell what is wrong."""
    given = _parse(arguments)
    try:
        return _train(given)
    except PosestreamError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _train(given: argparse.Namespace) -> int:
    settings = _settings(given)
    device = _device(given.device)
    with joined(device.type == "cuda") as processes:
        ended = _run(given, settings, device, processes)
    if not ended and processes.first:
        print(f"\nstopped; go on by:  python -m engines.train --resume --out {given.out}", file=sys.stderr)
    return 0 if ended else EXIT_INTERRUPTED


def _run(given: argparse.Namespace, settings: TrainSettings, device: torch.device, processes: Processes) -> bool:
    if device.type == "cuda" and processes.count > 1:
        device = torch.device("cuda", torch.cuda.current_device())
    if processes.first:
        _claim(given, settings)
    session = Session(settings, given.out, device, _say(given.quiet, processes), processes)
    if given.resume:
        session.resume()
    with interrupts() as asked:
        return session.run(given.quiet, lambda: bool(asked), given.resume)


def _settings(given: argparse.Namespace) -> TrainSettings:
    changes = {
        "data.labels": given.data,
        "data.images": given.images,
        "data.drawn": 1.0 if given.drawn else None,
        "run.budget": given.budget,
        "run.steps": given.steps,
        "init.from": given.weights,
    }
    file = given.config
    if given.resume:
        if not (given.out / CHECKPOINT).exists():
            raise EngineError(f"no {CHECKPOINT} in {given.out} to go on from; name the folder of the run by --out")
        if file is None and (given.out / _KEPT).exists():
            file = str(given.out / _KEPT)
    settings = load_as(TrainSettings, file, given.set or (), changes, _TYPED)
    if given.steps and not given.budget:  # what is typed replaces the other kind of end
        settings = settings.model_copy(update={"run": settings.run.model_copy(update={"budget": None})})
    if given.budget and not given.steps:
        settings = settings.model_copy(update={"run": settings.run.model_copy(update={"steps": None})})
    return settings


def _claim(given: argparse.Namespace, settings: TrainSettings) -> None:
    """Take the folder for this run, and keep the settings in it."""
    if not given.resume and (given.out / CHECKPOINT).exists():
        raise OutputError(f"{given.out} holds a training: go on with it by --resume, or name another folder by --out")
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / _KEPT).write_text(settings.model_dump_json(indent=1, by_alias=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{given.out} cannot be written: {error.strerror}") from error


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name not in ("cpu", "cuda") and not name.startswith("cuda:"):
        raise ConfigError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    if name != "cpu" and not there:
        raise EngineError(f"device {name} is not there: use --device cpu")
    return torch.device(name)


def _say(quiet: bool, processes: Processes) -> Callable[[str], None]:
    def say(line: str) -> None:
        if not quiet and processes.first:
            print(line, file=sys.stderr, flush=True)

    return say


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """Within it the first Ctrl-C or SIGTERM is only noted in the list, so that a step ends well; a second ends all."""
    asked: list[int] = []

    def heard(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.train", description="Train a network on labelled pictures, or on drawn people."
    )
    parser.add_argument("config", nargs="?", help=f"a YAML file, or a preset: {', '.join(presets(TrainSettings))}")
    parser.add_argument("--set", action="append", metavar="PART.KEY=VALUE", help="one setting; repeatable")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--data", help="a COCO keypoint file, or a folder with images/ and labels/ (YOLO-pose)")
    labels.add_argument("--drawn", action="store_true", help="drawn people instead")
    parser.add_argument("--images", help="the folder of a COCO file's pictures (default: images/ beside it)")
    parser.add_argument("--out", type=Path, default=Path("runs/train"), help="folder of the run (default: %(default)s)")
    parser.add_argument("--budget", help="end after so long, as 2h or 90m")
    parser.add_argument("--steps", type=int, help="end after so many steps")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint, exactly")
    parser.add_argument("--weights", help="begin with these: a model's name, a published name or a file")
    parser.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--quiet", action="store_true", help="show errors only")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
