from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends import eager, graphs, openvino
from engines.backends.buckets import Program
from engines.backends.verify import Difference, Parity, People, report
from engines.model.architecture import LITE
from engines.model.features import Features
from engines.model.parts import Parts, Run
from engines.weights.load import load_model

CPU = torch.device("cpu")
SMALL = replace(LITE, short_px=96, long_px=160)


@pytest.fixture(scope="module")
def reference() -> Parts:
    return eager.build(load_model("lite"), CPU)


def test_openvino_agrees(reference: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parity = small_report(openvino.build(load_model("lite"), CPU), reference)
    assert parity.ok
    assert 0 < max(one.relative for one in parity.differences) < 1e-4
    people = parity.people
    assert people.found == people.wanted > 0
    assert people.boxes_px < 0.01
    assert people.scores < 1e-4
    assert parity.lines()[-1].startswith("agrees with the reference; the limit is 0.001")


def small_report(parts: Parts, reference: Parts) -> Parity:
    return report(parts, reference, load_model("lite"), SMALL, frame_hw=(90, 160), rows_max=5)


def changed(parts: Parts, name: str, run: Run) -> Parts:
    return replace(parts, run={**parts.run, name: run})


def off_by_one(parts: Parts) -> Parts:
    return changed(parts, "keypoint_head", lambda x: [maps + 1 for maps in parts.run["keypoint_head"](x)])


def one_cell_is_no_number(parts: Parts) -> Parts:
    def features(images: Tensor) -> Sequence[Tensor]:
        seen = parts.run["features"](images)
        Features.of(seen, len(LITE.anchor_px)).deltas[1][-1, 0, 0, 0] = torch.nan
        return seen

    return changed(parts, "features", features)


def rows_are_missing(parts: Parts) -> Parts:
    def box_head(roi_features: Tensor) -> Sequence[Tensor]:
        logits, deltas = parts.run["box_head"](roi_features)
        return logits, deltas if len(deltas) in (3, SMALL.proposals) else deltas[:, :4]

    return changed(parts, "box_head", box_head)


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [
        (off_by_one, {"heat maps of 1", "heat maps of 3", "heat maps of 5"}),
        (one_cell_is_no_number, {"deltas 1 of 1", "deltas 1 of 3"}),
        (rows_are_missing, {"box deltas of 1", "box deltas of 5"}),
    ],
)
def test_what_is_broken_is_named_and_nothing_else(
    reference: Parts, broken: Callable[[Parts], Parts], kinds: set[str]
) -> None:
    parity = small_report(broken(reference), reference)
    assert not parity.ok
    told = {line[:36].rstrip() for line in parity.lines() if line.endswith("TOO FAR")}
    assert told == kinds
    assert parity.lines()[-1].startswith("does NOT agree with the reference")


def test_the_limit_decides() -> None:
    parity = Parity((Difference("levels", 0.5, 0.01),), People(0, 0, 0.0, 0.0, 0.0), relative_max=0.02)
    assert parity.ok
    strict = replace(parity, relative_max=0.005)
    assert not strict.ok
    assert strict.problem() == "off by more than 0.005 of the largest value: levels by 0.01"


def test_the_glue_takes_fp16_and_the_network_stays_within_its_limit(reference: Parts) -> None:
    """As backend graphs computes, save that a CPU computes it."""

    def record(part: nn.Module, rows: Tensor, _place: graphs.Place | None) -> Program:
        return lambda: part(rows)

    parts = graphs.parts_of(load_model("lite"), CPU, torch.float16, record)
    parity = small_report(parts, reference)
    assert parity.ok
    assert not replace(parity, relative_max=1e-4).ok
    assert parity.people.found == parity.people.wanted > 0
    assert parity.people.boxes_px < 0.5
