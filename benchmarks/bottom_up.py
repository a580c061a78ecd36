"""Top-down against bottom-up by people a picture: milliseconds and OKS of both, in one run.

    python benchmarks/bottom_up.py --out docs/bottom_up.png --crowd docs/bottom_up_crowd.png
    python benchmarks/bottom_up.py --top-down-weights lite-drawn.safetensors    # trained on drawn people as well

Pictures of 560 x 320 pixels show just so many drawn people, 40 to 120 pixels high; the more there are the more they
hide each other. Both networks see each picture at its own size, one after the other, so what else the machine does
slows both. ms: the median over pictures of the best of three calls. OKS: the mean over labelled people, each with the
one found person that fits best, 0 for those who are missed. OKS compares the networks only where both were trained on
drawn people, and the bundled `lite` learned from photographs: its ms and their growth are what is compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from configs.schema import EngineSettings
from engines.bottom_up.finder import BottomUpFinder
from engines.evaluation.similarity import oks_to_truth
from engines.model.parts import Parts
from engines.model.roi import Limits
from engines.ops.people import People
from engines.ops.skeleton import COCO
from engines.pose_engine import PoseEngine
from engines.preprocess import to_input
from engines.train.synthetic import Still, picture
from engines.train.target import Sample
from engines.weights.load import load_model

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZE_HW, HEIGHT_PX = (320, 560), (40.0, 120.0)
SEED, CALLS, SCORE_MIN = 2_000_000_100, 3, 0.05
GROUPINGS: tuple[Literal["paf", "tags"], ...] = ("paf", "tags")


class Row(NamedTuple):
    """Of pictures of so many people."""

    people: int
    top_down_ms: float
    bottom_up_ms: float
    paf_ms: float
    """From maps to people, of `bottom_up_ms`."""
    tags_ms: float
    top_down_oks: float
    paf_oks: float
    tags_oks: float


def main() -> None:
    asked = _parse()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    top_down = _engine(asked, model=asked.top_down, weights=asked.top_down_weights)
    bottom_up = {
        grouping: _engine(asked, model="bottom-up", weights=asked.weights, grouping=grouping) for grouping in GROUPINGS
    }
    groupers = {grouping: _grouper(asked.weights, grouping) for grouping in GROUPINGS}
    print("| people | top-down ms | bottom-up ms | of that paf | tags | top-down OKS | paf OKS | tags OKS |")
    print("|" + "---|" * 8)
    rows = []
    for people in asked.people:
        rows.append(_row(people, crowds(people, asked.pictures), top_down, bottom_up, groupers))
        ms, shares = "".join(f" {each:.1f} |" for each in rows[-1][1:5]), "".join(f" {x:.3f} |" for x in rows[-1][5:])
        print(f"| {people} |{ms}{shares}", flush=True)
    if asked.out:
        _plot(rows, asked.out)
    if asked.crowd:
        sample = crowds(20, 1)[0]
        draw(sample, bottom_up["paf"]([sample.pixels])[0], asked.crowd)


def crowds(people: int, count: int) -> list[Sample]:
    """Pictures that show just so many people; the same ones each time."""
    still = Still(size_hw=SIZE_HW, people=(people, people), height_px=HEIGHT_PX, occluders=0)
    return [picture(still, np.random.default_rng((SEED, people, at))) for at in range(count)]


def _engine(asked: argparse.Namespace, **how: Any) -> PoseEngine:
    return PoseEngine(
        EngineSettings(
            **how, backend=asked.backend, threads=asked.threads, device="cpu", people_max=100, score_min=SCORE_MIN
        )
    )


def _grouper(weights: str, grouping: Literal["paf", "tags"]) -> Callable[[Sample], float]:
    """Milliseconds from the maps of a picture to its people."""
    network = load_model("bottom-up", weights)
    architecture = replace(network.architecture, grouping=grouping)
    part = network.parts()["maps"].module

    @torch.inference_mode()
    def spent(sample: Sample) -> float:
        batch = to_input([sample.pixels], architecture, torch.device("cpu"))
        maps = part(batch.images)
        finder = BottomUpFinder(
            Parts({"maps": lambda images: maps}, torch.device("cpu")), architecture, Limits(SCORE_MIN, 100)
        )
        return _best_ms(partial(finder.find, batch.images, batch.sizes))

    return spent


def _row(
    people: int,
    samples: Sequence[Sample],
    top_down: PoseEngine,
    bottom_up: dict[Literal["paf", "tags"], PoseEngine],
    groupers: dict[Literal["paf", "tags"], Callable[[Sample], float]],
) -> Row:
    engines = (top_down, *bottom_up.values())
    for engine in engines:
        engine([samples[0].pixels])
    ms, near = [], []
    for sample in samples:
        ms.append([_best_ms(partial(engine, [sample.pixels])) for engine in engines[:2]])
        ms[-1] += [spent(sample) for spent in groupers.values()]
        near.append([mean_oks(engine([sample.pixels])[0], sample) for engine in engines])
    return Row(people, *np.median(ms, axis=0).tolist(), *np.nanmean(near, axis=0).tolist())


def _best_ms(call: Callable[[], object]) -> float:
    spent = []
    for _ in range(CALLS):
        started = time.perf_counter()
        call()
        spent.append(time.perf_counter() - started)
    return 1e3 * min(spent)


def mean_oks(found: People, sample: Sample) -> float:
    """Mean OKS of labelled people; 0 for those who are missed."""
    target = sample.target.take(~sample.target.crowd & (sample.target.labelled > 0))
    if not len(target):
        return float("nan")
    if not len(found):
        return 0.0
    oks = oks_to_truth(found, target, COCO.sigmas)
    return float(oks[linear_sum_assignment(-oks)].sum() / len(target))


def _plot(rows: Sequence[Row], path: Path) -> None:
    people = [row.people for row in rows]
    figure, (time_axes, oks_axes) = plt.subplots(1, 2, figsize=(10, 4))
    time_axes.plot(people, [row.top_down_ms for row in rows], "o-", label="top-down")
    time_axes.plot(people, [row.bottom_up_ms for row in rows], "s-", label="bottom-up (paf)")
    time_axes.plot(people, [row.paf_ms for row in rows], "s:", label="of that maps to people")
    time_axes.set(xlabel="people a picture", ylabel="ms a picture", ylim=(0, None), title="time")
    oks_axes.plot(people, [row.top_down_oks for row in rows], "o-", label="top-down")
    oks_axes.plot(people, [row.paf_oks for row in rows], "s-", label="bottom-up, paf")
    oks_axes.plot(people, [row.tags_oks for row in rows], "^-", label="bottom-up, tags")
    oks_axes.set(xlabel="people a picture", ylabel="OKS of labelled people", ylim=(0, 1), title="accuracy")
    for axes in (time_axes, oks_axes):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def draw(sample: Sample, found: People, path: Path) -> None:
    """A picture, and beside it with the people found, a colour each; keypoints of low confidence are left out."""
    figure, sides = plt.subplots(2, 1, figsize=(8, 9.2))
    for axes in sides:
        axes.imshow(sample.pixels)
        axes.set_axis_off()
    sure = found.confidence > 0.3
    for person in np.flatnonzero(found.scores > 0.4):
        colour = plt.get_cmap("tab20")(person % 20)
        _skeleton(sides[1], found.keypoints[person], sure[person], colour)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=90)


def _skeleton(axes: Any, xy: NDArray[np.float32], sure: NDArray[np.bool_], colour: Any) -> None:
    for start, end in COCO.limbs:
        if sure[start] and sure[end]:
            axes.plot(*xy[[start, end]].T, color=colour, linewidth=2)
    axes.scatter(*xy[sure].T, color=[colour], s=6, zorder=3)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50], help="people a picture")
    parser.add_argument("--pictures", type=int, default=10, help="pictures of each number (default: %(default)s)")
    parser.add_argument("--weights", default="auto", help="of bottom-up (default: the bundled ones)")
    parser.add_argument("--top-down", default="lite", help="model (default: lite)")
    parser.add_argument("--top-down-weights", default="auto", help="(default: those of the model)")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, help="plot")
    parser.add_argument("--crowd", type=Path, help="picture of a crowd of 20 and who is found in it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
