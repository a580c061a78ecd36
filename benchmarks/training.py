"""One step of a training: pictures and people a second, and where the time goes.

    python benchmarks/training.py --data person_keypoints.json --images pictures

By plain and by packed pictures, in fp32 and bf16. Seconds are those of the processor, which others who use it do not
change much; wall time is told beside them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from configs.load import load_as
from configs.train import TrainSettings
from engines.ops.skeleton import COCO
from engines.train import initial
from engines.train.batches import numbered
from engines.train.loop import Batch
from engines.train.material import material
from engines.train.network import LossSettings, TrainedKeypointRCNN
from engines.train.optim import Average, Optim, optimizer

PARTS = ("pictures", "body and pyramid", "heads and losses", "backward", "optimiser")


class Clock:
    """Processor seconds by what they were spent on."""

    def __init__(self) -> None:
        self.spent_s = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.spent_s[part] += time.process_time() - started


def main() -> None:
    asked = _parse()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    print(f"{asked.config}: {asked.steps} steps each, {asked.threads} threads, torch {torch.__version__}\n")
    print("| pictures | computed in | pictures/s | people/s | people a picture | wall s | " + " | ".join(PARTS) + " |")
    print("|" + "---|" * (6 + len(PARTS)))
    for packed in (0.0, 1.0):
        for precision in ("fp32", "bf16"):
            _row(asked, packed, precision)


def _row(asked: argparse.Namespace, packed: float, precision: str) -> None:
    changes = [f"pictures.packed={packed:g}", "data.drawn=0", "run.steps=1", "quantize.start=null"]
    typed = {"data.labels": asked.data, "data.images": asked.images, "data.cache": asked.cache}
    settings = load_as(TrainSettings, asked.config, changes, typed)
    network = initial.start(settings.init, COCO.size).network
    trained = TrainedKeypointRCNN(network, LossSettings(sigma_cells=settings.losses.sigma_cells), 0).train()
    batches = numbered(material(settings, lambda line: None).draw, settings.run.batch, 0)
    clock, people, started = Clock(), 0, 0.0
    step = _stepper(trained, network, precision, clock)
    for number in range(asked.steps + asked.warm_up):
        if number == asked.warm_up:
            clock.spent_s, people, started = dict.fromkeys(PARTS, 0.0), 0, time.perf_counter()
        with clock.of("pictures"):
            batch = batches(number)
        people += sum(int(((label.labelled > 0) & ~label.crowd).sum()) for label in batch.targets)
        step(batch)
    _tell(clock, packed, precision, asked.steps * settings.run.batch, people, time.perf_counter() - started)


def _stepper(trained: TrainedKeypointRCNN, network: Any, precision: str, clock: Clock) -> Callable[[Batch], None]:
    adam, average = optimizer(trained, Optim()), Average(trained, 0.999)
    entered: list[float] = []
    inside: list[float] = []
    network.backbone.register_forward_pre_hook(lambda *_: entered.append(time.process_time()))
    network.backbone.register_forward_hook(lambda *_: inside.append(time.process_time() - entered.pop()))

    def step(batch: Batch) -> None:
        with clock.of("heads and losses"), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            total = torch.stack(list(trained.losses(batch.images, batch.targets).values())).sum()
        body_s = inside.pop()
        clock.spent_s["heads and losses"] -= body_s
        clock.spent_s["body and pyramid"] += body_s
        with clock.of("backward"):
            total.backward()
        with clock.of("optimiser"):
            adam.step()
            adam.zero_grad(set_to_none=True)
            average.update(trained)

    return step


def _tell(clock: Clock, packed: float, precision: str, pictures: int, people: int, wall_s: float) -> None:
    whole_s = sum(clock.spent_s.values())
    shares = " | ".join(f"{100 * spent / whole_s:.0f} %" for spent in clock.spent_s.values())
    speeds = f"{pictures / whole_s:.1f} | {people / whole_s:.0f} | {people / np.maximum(pictures, 1):.1f}"
    print(f"| {'packed' if packed else 'plain'} | {precision} | {speeds} | {wall_s:.0f} | {shares} |", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="train-lite", help="settings file or preset (default: %(default)s)")
    parser.add_argument("--data", required=True, help="a COCO keypoint file")
    parser.add_argument("--images", help="the folder of its pictures")
    parser.add_argument("--cache", help="folder of the decoded pictures")
    parser.add_argument("--steps", type=int, default=20, help="measured, after a few others (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=4, help="steps before (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
