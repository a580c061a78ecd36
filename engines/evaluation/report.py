"""All that is said of a network over a set of pictures: as text, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.evaluation import keypoints, similarity
from engines.evaluation.keypoints import Matched, Row
from engines.evaluation.precision import Curves, curves, summary
from engines.evaluation.reliability import Reliability, cooled, reliability, temperature
from engines.ops.people import People
from engines.train.target import Target

F = NDArray[np.floating[Any]]
_HEAD = ("nose", "left_shoulder", "right_shoulder")


@dataclass(frozen=True)
class Report:
    """How good a network is; a share that nothing stands behind is NaN."""

    pictures: int
    people: int
    """Labelled people that are no crowd."""
    keypoint_ap: dict[str, float]
    """By OKS: AP, AP50, AP75, APM, APL, AR, …"""
    box_ap: dict[str, float]
    """By overlap of boxes: AP, …, also of small people: APS, ARS."""
    ap_by_keypoint: dict[str, float]
    pck: dict[str, float]
    """At 0.2 of the box's longer side."""
    pckh: dict[str, float]
    """At 0.5 of the head; empty where the skeleton has no nose and shoulders."""
    rows: list[Row]
    reliability: Reliability
    temperature: float
    """Under which the confidence says best what is right: see `reliability.cooled`."""
    cooled: Reliability
    """The reliability at that temperature, which was fitted on the same pictures."""
    precision: Curves | None
    """By OKS, over everybody; None where nobody is labelled."""


def evaluate(found: Sequence[tuple[People, Target]], names: Sequence[str], sigmas: F) -> Report:
    """The report on the people of each picture beside its labels.

    Args:
        found: of each picture, in the order of their numbers as COCO's own program has it.
        names: (K,) of the keypoints.
        sigmas: (K,) of OKS.

    Raises:
        ValueError: nobody who is labelled was found, so nothing can be said of keypoints.
    """
    by_keypoints = [similarity.by_keypoints(people, target, sigmas) for people, target in found]
    by_boxes = [similarity.by_boxes(people, target) for people, target in found]
    people = keypoints.matched(found)
    if not len(people.xy):
        raise ValueError(f"none of {len(people.missed_heights_px)} labelled people was found in {len(found)} pictures")
    near = people.nearness(sigmas)
    known = np.isfinite(near)
    confidence, right = people.confidence[known], near[known] >= keypoints.NEAR
    best = temperature(confidence, right)
    return Report(
        pictures=len(found),
        people=sum(int((~target.crowd).sum()) for _, target in found),
        keypoint_ap=summary(by_keypoints),
        box_ap=summary(by_boxes, ("", "S", "M", "L")),
        ap_by_keypoint={name: _ap_of(found, sigmas, at) for at, name in enumerate(names)},
        pck=dict(zip(names, keypoints.pck(people).tolist(), strict=True)),
        pckh=_pckh(people, names),
        rows=keypoints.rows(people, sigmas),
        reliability=reliability(confidence, right),
        temperature=best,
        cooled=reliability(cooled(confidence, best), right),
        precision=curves(by_keypoints),
    )


def lines(report: Report) -> list[str]:
    """The report as a table for a terminal."""
    rows = [f"{report.pictures} pictures, {report.people} people", ""]
    for kind, ap in (("keypoints", report.keypoint_ap), ("boxes", report.box_ap)):
        names = [name for name in ("AP", "AP50", "AP75", "APS", "APM", "APL", "AR", "AR50", "AR75") if name in ap]
        rows.append(f"{kind:<16}" + "".join(f"{name:>8}" for name in names))
        rows += [" " * 16 + "".join(_cell(ap[name]) for name in names), ""]
    rows.append(f"{'keypoint':<16}{'AP':>8}{'PCK@0.2':>9}{'PCKh@0.5':>10}")
    for name, ap_of in report.ap_by_keypoint.items():
        head = report.pckh.get(name, math.nan)
        rows.append(f"{name:<16}{_cell(ap_of)}{_cell(report.pck[name], 9)}{_cell(head, 10)}")
    rows += ["", f"{'people':<16}{'people':>8}{'missed':>8}{'points':>8}{'OKS':>8}{'right':>8}{'error':>8}"]
    for row in report.rows:
        rows.append(
            f"{row.kind:<16}{row.people:>8}{row.missed:>8}{row.keypoints:>8}"
            f"{_cell(row.oks)}{_cell(row.right)}{_cell(row.error)}"
        )
    rows += ["", "OKS and right (OKS of at least 0.5): of each keypoint alone; error: median, as a share of sqrt(area)"]
    rows.append(
        f"confidence is off by {report.reliability.error:.3f} on average; at temperature {report.temperature:.2f} "
        f"by {report.cooled.error:.3f}"
    )
    return rows


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain values; null for what is NaN."""
    return {name: _plain(value) for name, value in asdict(report).items()}


def _ap_of(found: Sequence[tuple[People, Target]], sigmas: F, keypoint: int) -> float:
    scored = [similarity.by_keypoint(people, target, sigmas, keypoint) for people, target in found]
    of = curves(scored)
    return float(of.precision.mean()) if of else math.nan


def _pckh(people: Matched, names: Sequence[str]) -> dict[str, float]:
    if not set(_HEAD) <= set(names):
        return {}
    nose, left, right = (names.index(name) for name in _HEAD)
    return dict(zip(names, keypoints.pckh(people, nose, (left, right)).tolist(), strict=True))


def _cell(value: float, width: int = 8) -> str:
    return f"{'-' if math.isnan(value) else f'{value:.3f}':>{width}}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
