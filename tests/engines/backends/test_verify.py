from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engines.backends import eager, graphs, openvino
from engines.backends.buckets import Program
from engines.backends.parts import Parts
from engines.backends.verify import FP16_MAX, FP32_MAX, Difference, Parity, People, limit_of, report
from engines.model.architecture import LITE
from engines.model.keypoint_rcnn import Features
from engines.weights.load import load_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def reference() -> Parts:
    return eager.build(load_model("lite"), CPU)


def test_openvino_agrees(reference: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parity = report(openvino.build(load_model("lite"), CPU), reference, LITE, CPU)
    assert parity.ok
    assert 0 < max(one.relative for one in parity.differences) < 1e-4
    people = parity.people
    assert people.found == people.wanted > 0
    assert people.boxes_px < 0.01
    assert people.scores < 1e-4
    assert parity.lines()[-1].startswith("agrees with the reference; the limit is 0.001")


def off_by_one(parts: Parts) -> Parts:
    return replace(parts, keypoint_head=lambda x: parts.keypoint_head(x) + 1)


def one_cell_is_no_number(parts: Parts) -> Parts:
    def features(images: Tensor) -> Features:
        seen = parts.features(images)
        seen.deltas[1][-1, 0, 0, 0] = torch.nan
        return seen

    return replace(parts, features=features)


def rows_are_missing(parts: Parts) -> Parts:
    def box_head(cut_outs: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = parts.box_head(cut_outs)
        return logits, deltas if len(deltas) == LITE.proposals else deltas[:, :4]

    return replace(parts, box_head=box_head)


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [
        (off_by_one, {"heat maps of 1", "heat maps of 3", "heat maps of 17"}),
        (one_cell_is_no_number, {"deltas 1 of 1", "deltas 1 of 3"}),
        (rows_are_missing, {"box deltas of 1", "box deltas of 1000"}),
    ],
)
def test_what_is_broken_is_named_and_nothing_else(
    reference: Parts, broken: Callable[[Parts], Parts], kinds: set[str]
) -> None:
    parity = report(broken(reference), reference, LITE, CPU)
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


def test_the_limit_follows_what_a_backend_computes_in() -> None:
    cuda = torch.device("cuda")
    assert {name: limit_of(name, cuda) for name in ("eager", "graphs", "tensorrt", "inductor")} == {
        "eager": FP32_MAX,
        "graphs": FP16_MAX,
        "tensorrt": FP16_MAX,
        "inductor": FP16_MAX,
    }
    assert limit_of("inductor", CPU) == limit_of("openvino", CPU) == FP32_MAX


def test_the_glue_takes_fp16_and_the_network_stays_within_its_limit(reference: Parts) -> None:
    """As backend graphs computes, save that a CPU computes it."""

    def record(part: nn.Module, rows: Tensor, _place: graphs.Place | None) -> Program:
        return lambda: graphs._flat(part(rows))

    parts = graphs.parts_of(load_model("lite"), CPU, torch.float16, record)
    parity = report(parts, reference, LITE, CPU, FP16_MAX)
    assert parity.ok
    assert not replace(parity, relative_max=1e-4).ok
    assert parity.people.found == parity.people.wanted > 0
    assert parity.people.boxes_px < 0.5
