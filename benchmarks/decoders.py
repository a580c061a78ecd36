"""How far each decoder of heat maps is off: against places between cells, over deviation, noise, border and size.

    python benchmarks/decoders.py                  # writes docs/decoders.md and docs/decoders.png
    python benchmarks/decoders.py --out folder     # the same elsewhere

Maps of 56 x 56 cells hold a Gaussian of height 1 on noise, or the logits of a softmax trained on one. Errors are root
mean squares over x and y, in cells; a cell is as many pixels as the stride says.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engines.model import targets
from engines.model.peaks import peaks

HW = (56, 56)
MAPS = 2000
SIGMAS = (0.8, 1.0, 1.5, 2.0, 3.0)
NOISES = (0.0, 0.02, 0.05, 0.1, 0.2)
TEMPERATURES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2)
TEMPERATURE = 0.05
BORDERS = (0.5, 1.0, 2.0, 4.0, 8.0)
STRIDES_PX = (2, 4, 8, 16)
SIGMA_PX = 8.0
SIGMA, NOISE = 2.0, 0.05
_LEAST = 1e-4


class Maps(NamedTuple):
    """Heat maps whose keypoints are known."""

    heat: Tensor
    """(N, 1, h, w)"""
    xy: Tensor
    """(N, 1, 2) cells."""
    sigma: float


class Decoder(NamedTuple):
    name: str
    decode: Callable[[Maps], Tensor]


def bicubic(maps: Maps) -> Tensor:
    """The R-CNN's own: the map is stretched to 10 pixels a cell, and the highest pixel is taken."""
    sizes = torch.tensor([HW[::-1]] * len(maps.heat)) * 10
    at = peaks(maps.heat, sizes.float()).at
    return (at + 0.5) / 10 - 0.5


def noisy_offsets(maps: Maps) -> Tensor:
    """An offset head that is off by 0.1 cells: what it can do depends on its training, not on the map."""
    true, _ = targets.offsets(maps.xy, HW, 0.0)
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(3)) * 0.1
    return targets.by_offsets(maps.heat, true + noise)


DECODERS = (
    Decoder("argmax", lambda maps: targets.argmax(maps.heat)),
    Decoder("quarter offset", lambda maps: targets.quarter(maps.heat)),
    Decoder("parabola", lambda maps: targets.parabola(maps.heat)),
    Decoder("parabola of the logarithm", lambda maps: targets.parabola(maps.heat.clamp(min=_LEAST).log())),
    Decoder("DARK, not smoothed", lambda maps: targets.dark(maps.heat, 0.0)),
    Decoder("DARK", lambda maps: targets.dark(maps.heat, maps.sigma)),
    Decoder(f"soft-argmax at {TEMPERATURE:g}", lambda maps: targets.soft_argmax(maps.heat, TEMPERATURE)),
    Decoder("bicubic, as the R-CNN", bicubic),
    Decoder("offset head, 0.1 cells off", noisy_offsets),
)


def made(sigma: float, noise: float, border: float | None = None) -> Maps:
    """Maps whose places are drawn evenly; border: all so many cells from the left edge, else at least 8 from any."""
    generator = torch.Generator().manual_seed(0)
    margin = 8.0
    xy = torch.rand(MAPS, 1, 2, generator=generator) * (HW[0] - 1 - 2 * margin) + margin
    if border is not None:
        xy[..., 0] = border + torch.rand(MAPS, 1, generator=generator) - 0.5
    heat = targets.gaussian(xy, HW, sigma)
    return Maps(heat + noise * torch.randn(heat.shape, generator=generator), xy, sigma)


def error(decoder: Decoder, maps: Maps) -> float:
    """Root mean square over maps and axes, in cells."""
    return float((decoder.decode(maps) - maps.xy).square().mean().sqrt())


def bias_and_deviation(maps: Maps, temperature: float) -> tuple[float, float]:
    """Mean and deviation of a soft-argmax's error in x, in cells."""
    off = (targets.soft_argmax(maps.heat, temperature) - maps.xy)[..., 0]
    return float(off.mean()), float(off.std())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, with its numbers to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def over(name: str, values: Sequence[float], maps: Callable[[float], Maps]) -> tuple[list[str], dict[str, list[float]]]:
    errors = {decoder.name: [error(decoder, maps(value)) for value in values] for decoder in DECODERS}
    rows = [[decoder, *(f"{each:.3f}" for each in found)] for decoder, found in errors.items()]
    return table([name, *(f"{value:g}" for value in values)], rows), errors


def text() -> tuple[str, dict[str, dict[str, list[float]]]]:
    by_sigma, sigma_errors = over("sigma in cells", SIGMAS, lambda sigma: made(sigma, NOISE))
    by_noise, noise_errors = over("noise", NOISES, lambda noise: made(SIGMA, noise))
    by_border, border_errors = over("cells from the edge", BORDERS, lambda border: made(SIGMA, NOISE, border))
    clean, middle, edge = made(SIGMA, 0.0), made(SIGMA, NOISE), made(SIGMA, NOISE, 3.0)
    pixels = [
        [decoder.name, *(f"{error(decoder, made(SIGMA_PX / px, NOISE)) * px:.2f}" for px in STRIDES_PX)]
        for decoder in DECODERS
    ]
    soft = []
    for temperature in TEMPERATURES:
        numbers = [number for maps in (middle, edge) for number in bias_and_deviation(maps, temperature)]
        soft.append([f"{temperature:g}", f"{bias_and_deviation(clean, temperature)[1]:.3f}"])
        soft[-1] += [f"{number:+.3f}" if at % 2 == 0 else f"{number:.3f}" for at, number in enumerate(numbers)]
    head = ["temperature", "deviation, no noise", "bias", "deviation", "bias, 3 cells from the edge", "deviation"]
    parts = {
        "SIGMA": by_sigma,
        "NOISE": by_noise,
        "BORDER": by_border,
        "STRIDE": table(["stride in px", *(f"{stride}" for stride in STRIDES_PX)], pixels),
        "SOFT": table(head, soft),
    }
    page = PAGE
    for name, lines in parts.items():
        page = page.replace(f"{{{name}}}", "\n".join(lines))
    return page, {"sigma in cells": sigma_errors, "noise": noise_errors, "cells from the edge": border_errors}


PAGE = f"""# Decoders: from a heat map to a place between its cells

Made by `python benchmarks/decoders.py`. {MAPS} maps of {HW[0]} x {HW[1]} cells each hold a Gaussian of height 1,
whose peak lies anywhere between cells, on Gaussian noise. Unless said, its deviation sigma is {SIGMA:g} cells
and that of the noise {NOISE:g}. Numbers are root mean squares of the error in x and y, in cells. The decoders
are in `engines/model/targets.py`, beside the targets they invert; the bicubic one, which the R-CNN uses, is
`engines/model/peaks.py`.

![errors over sigma, noise and border](decoders.png)

## Deviation of the Gaussian

{{SIGMA}}

## Noise

{{NOISE}}

## Border

Peaks a number of cells from the left edge, give or take half a cell.

{{BORDER}}

## Stride

Errors in pixels of the picture, where a cell is so many pixels wide and sigma is {SIGMA_PX:g} pixels.

{{STRIDE}}

## Soft-argmax and its temperature

The mean place under softmax(map / temperature). At a high temperature the whole map counts, and the mean is
drawn to the map's middle: hardly for a peak near it, by much near an edge, and everywhere in proportion to the
distance from the middle, which is the deviation without noise. At a low one few cells count: there is no bias, but
noise decides between them. In between lies a best one, which depends on how high the peaks are.

{{SOFT}}

## What to take

- **argmax** is off by 0.29 cells (1 / sqrt(12)) without noise; the **quarter offset** halves that.
- **DARK** is for Gaussian maps with noise. Its gain is the smoothing, not the Taylor series: without smoothing it is no
  better than a **parabola** along each axis, of the map or of its logarithm. Within two cells of an edge it is worse.
- A parabola of the logarithm, or DARK, is exact without noise: what is left of an error there is the network's.
- **Bicubic** stretching is between the quarter offset and the parabola. It needs no model of the map, which is why the
  R-CNN, whose maps are logits of a softmax and no Gaussians, is decoded by it.
- **Soft-argmax** is for training through it (integral regression): at a temperature that suits its peaks it is as good
  as a parabola, at others far worse, and near an edge it is biased.
- An **offset head** is as good as it was trained, whatever the noise of the map: the coarser the map, the more it is
  worth.
"""


def plot(errors: dict[str, dict[str, list[float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    values = {"sigma in cells": SIGMAS, "noise": NOISES, "cells from the edge": BORDERS}
    figure = Figure(figsize=(15, 5), layout="constrained")
    for axes, (name, of) in zip(np.atleast_1d(figure.subplots(1, 3, sharey=True)), errors.items(), strict=True):
        for decoder, found in of.items():
            axes.plot(values[name], found, "o-", label=decoder, markersize=3)
        axes.set(xlabel=name, yscale="log", ylim=(3e-3, 3))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("root mean square error in cells")
    figure.axes[2].legend(fontsize=8)
    figure.savefig(path, dpi=80)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/decoders.py", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs", help="a folder (default: docs)")
    folder = parser.parse_args(arguments).out
    page, errors = text()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decoders.md").write_text(page)
    plot(errors, folder / "decoders.png")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
