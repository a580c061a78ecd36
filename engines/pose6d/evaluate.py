"""Score poses of the object on rendered pictures that no training saw, also under noise and with missing keypoints.

    python -m engines.pose6d.evaluate                     # the bundled weights
    python -m engines.pose6d.evaluate --weights runs/truck/best.safetensors --json

The network is shown a square about the object, off by chance; --search: it finds the object in the whole picture.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from configs.errors import EXIT_INTERRUPTED, PosestreamError
from engines.pose6d import truck
from engines.pose6d.camera import F, angle_deg, in_camera, project
from engines.pose6d.crop import turned_square
from engines.pose6d.locate import BUNDLED, NOISE_CELLS, Keypoints, Locator
from engines.pose6d.mesh import diameter
from engines.pose6d.views import View, Views, any_view, picture

_SEED = 2_000_000_000
"""Far from any that a training uses."""
_ADD_SHARE = 0.1


class _Seen(NamedTuple):
    """An object in a picture: where it stands, and where the network says that its keypoints are."""

    view: View
    truth: F
    """(K, 2) true pixels."""
    found: Keypoints | None
    """None: it was not found at all."""


@dataclass(frozen=True)
class Row:
    """How good poses are under one condition; a pose that was not found counts as infinitely wrong."""

    condition: str
    pictures: int
    found: float
    """Share of pictures with a pose."""
    rotation_deg: float
    """Median."""
    rotation_deg_p90: float
    translation: float
    """Median, as a share of the distance from the camera."""
    add: float
    """ADD-0.1d: share of pictures where the vertices are off by less than a tenth of the diameter, on average."""


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code is that of the error, of which one line tells what is wrong."""
    given = _parse(arguments)
    try:
        locator = Locator(given.weights)
        seen = _pictures(locator, given.pictures, given.search)
        rows = _rows(locator, seen)
        off = _keypoint_errors(seen)
        print(json.dumps({"rows": [asdict(row) for row in rows], "keypoints": off}) if given.json else _text(rows, off))
    except PosestreamError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _pictures(locator: Locator, count: int, search: bool) -> list[_Seen]:
    how, mesh, keypoints = Views(), truck.mesh(), truck.keypoints()
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    seen = []
    for at in range(count):
        rng = np.random.default_rng((_SEED, at))
        view = any_view(how, middle, rng)
        made = picture(mesh, keypoints, view, how.size_hw, rng, how.occluders)
        if search:
            located = locator.locate(made.pixels, view.camera)
            found = located.keypoints if located else None
        else:
            found = locator.at(made.pixels, [_near(view, mesh.vertices, rng)])[0]
        seen.append(_Seen(view, made.keypoints, found))
    return seen


def _near(view: View, vertices: F, rng: np.random.Generator) -> F:
    """The square about an object as a detector may give it: 1.15 to 1.5 times as long, and off by up to 5 %."""
    pixels = project(view.camera, in_camera(vertices, view.rotation, view.translation))
    low, high = pixels.min(0), pixels.max(0)
    side = float((high - low).max())
    return turned_square((low + high) / 2 + rng.uniform(-0.05, 0.05, 2) * side, side * rng.uniform(1.15, 1.5), 0.0)


def _rows(locator: Locator, seen: list[_Seen]) -> list[Row]:
    rows = [_row("as found", locator, seen, 0, 0, 0)]
    rows += [_row(f"noise {cells:g} cells", locator, seen, cells, 0, 0) for cells in (0.5, 1, 2)]
    rows += [_row(f"{share:.0%} missing", locator, seen, 0, share, 0) for share in (0.25, 0.5, 0.7)]
    rows += [_row(f"{share:.0%} outliers", locator, seen, 0, 0, share) for share in (0.1, 0.3, 0.4)]
    return rows


def _row(condition: str, locator: Locator, seen: list[_Seen], cells: float, missing: float, outliers: float) -> Row:
    mesh = truck.mesh()
    size = diameter(mesh.vertices)
    turns, shifts, near, there = [], [], [], 0
    for at, each in enumerate(seen):
        rng = np.random.default_rng((_SEED + 1, at))
        found = each.found and _disturbed(each.found, rng, cells, missing, outliers)
        noise_cells = math.hypot(NOISE_CELLS, cells)
        pose = locator.pose(found, each.view.camera, noise_cells).pose if found else None
        if pose is None:
            turns.append(math.inf)
            shifts.append(math.inf)
            near.append(False)
            continue
        there += 1
        view = each.view
        turns.append(angle_deg(pose.rotation, view.rotation))
        shifts.append(float(np.linalg.norm(pose.translation - view.translation) / np.linalg.norm(view.translation)))
        true = in_camera(mesh.vertices, view.rotation, view.translation)
        off = np.linalg.norm(in_camera(mesh.vertices, pose.rotation, pose.translation) - true, axis=1)
        near.append(bool(off.mean() < _ADD_SHARE * size))
    return Row(
        condition,
        len(seen),
        there / len(seen),
        float(np.median(turns)),
        float(np.quantile(turns, 0.9, method="inverted_cdf")),
        float(np.median(shifts)),
        float(np.mean(near)),
    )


def _disturbed(found: Keypoints, rng: np.random.Generator, cells: float, missing: float, outliers: float) -> Keypoints:
    """The keypoints with noise, with some taken away, and with some anywhere in their box, as sure as before."""
    count = len(found.pixels)
    pixels = found.pixels + rng.normal(0, 1, (count, 2)) * cells * found.cell_px
    order = rng.permutation(count)
    wrong = order[: round(outliers * count)]
    low, high = found.pixels.min(0), found.pixels.max(0)
    pixels[wrong] = rng.uniform(low, high, (len(wrong), 2))
    confidence = found.confidence.copy()
    confidence[order[: round(missing * count)]] = 0
    return Keypoints(pixels, confidence, found.cell_px)


def _keypoint_errors(seen: list[_Seen]) -> dict[str, float]:
    """Of sure keypoints the deviation along an axis, in cells, and the share that is more than four of these off."""
    errors = [
        ((each.found.pixels - each.truth) / each.found.cell_px)[each.found.confidence >= 0.5]
        for each in seen
        if each.found
    ]
    off = np.abs(np.concatenate(errors)) if errors else np.full((1, 2), np.nan)
    deviation = float(np.median(off)) / 0.6745  # of a normal distribution with that median
    return {"deviation_cells": deviation, "outliers": float((off.max(1) > 4 * deviation).mean())}


def _text(rows: list[Row], off: dict[str, float]) -> str:
    lines = [f"{'keypoints':<16}{'found':>8}{'rotation':>10}{'(90 %)':>9}{'translation':>13}{'ADD-0.1d':>10}"]
    lines += [
        f"{row.condition:<16}{row.found:>8.1%}{row.rotation_deg:>8.2f}°{row.rotation_deg_p90:>9.2f}°"
        f"{row.translation:>12.2%}{row.add:>10.1%}"
        for row in rows
    ]
    said = f"{rows[0].pictures} pictures; sure keypoints are off by {off['deviation_cells']:.2f} cells along an axis,"
    return "\n".join([*lines, "", said, f"{off['outliers']:.1%} of them by more than four times as much"])


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m engines.pose6d.evaluate", description="Score poses of the object on rendered pictures."
    )
    parser.add_argument("--weights", type=Path, default=BUNDLED, help="a file (default: the bundled one)")
    parser.add_argument("--pictures", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--search", action="store_true", help="find the object in the whole picture first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
