"""The report as pictures; matplotlib is loaded when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.evaluation.precision import RECALLS, THRESHOLDS
from engines.evaluation.report import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def write(report: Report, path: Path) -> None:
    """Write precision over recall, AP by keypoint, OKS by size and the reliability curve into one PNG.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplots(2, 2)
    _precision(axes[0, 0], report)
    _by_keypoint(axes[0, 1], report)
    _by_size(axes[1, 0], report)
    _reliability(axes[1, 1], report)
    figure.savefig(path, dpi=100)


def write_training(entries: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write the curves of a training, losses and scores over the pictures seen, into one PNG.

    Args:
        entries: of its log, with `samples`, and `loss/…` or `score/…`.
        path: of the picture.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, kind, title in zip(figure.subplots(1, 2), ("loss/", "score/"), ("losses", "scores"), strict=True):
        for name in dict.fromkeys(key for entry in entries for key in entry if key.startswith(kind)):
            points = [(entry["samples"], entry[name]) for entry in entries if name in entry]
            axes.plot(*zip(*points, strict=True), marker="." if len(points) < 40 else "", label=name.removeprefix(kind))
        axes.set(xlabel="pictures seen", title=title)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.savefig(path, dpi=100)


def _precision(axes: Axes, report: Report) -> None:
    if report.precision:
        for at in (0, 5, 9):
            axes.plot(RECALLS, report.precision.precision[at], label=f"OKS {THRESHOLDS[at]:.2f}")
        axes.legend()
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1), title="keypoints")


def _by_keypoint(axes: Axes, report: Report) -> None:
    names = list(report.ap_by_keypoint)
    axes.barh(names, [report.ap_by_keypoint[name] for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="AP", xlim=(0, 1), title="each keypoint alone")


def _by_size(axes: Axes, report: Report) -> None:
    kinds = [f"{row.kind}\n{row.people} people" for row in report.rows]
    places = np.arange(len(kinds))
    axes.bar(places - 0.2, [row.oks for row in report.rows], 0.4, label="mean OKS of keypoints found")
    missed = [row.missed / row.people if row.people else np.nan for row in report.rows]
    axes.bar(places + 0.2, missed, 0.4, label="share of people missed")
    axes.set_xticks(places, kinds, fontsize=7)
    axes.set(ylim=(0, 1), title="by height of the person and by visibility of the keypoint")
    axes.legend()


def _reliability(axes: Axes, report: Report) -> None:
    axes.plot((0, 1), (0, 1), color="grey", linewidth=1)
    axes.plot(report.reliability.confidence, report.reliability.right, "o-", label="as it is")
    axes.plot(report.cooled.confidence, report.cooled.right, "o-", label=f"at temperature {report.temperature:.2f}")
    axes.set(xlabel="confidence", ylabel="share right", xlim=(0, 1), ylim=(0, 1), title="reliability")
    axes.legend()
