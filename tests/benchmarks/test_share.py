"""The benchmark of the keypoint stream, in short: readers lose nothing, strangers get nothing."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return importlib.import_module("share")


@pytest.mark.parametrize("style", ["typed", "raw"])
def test_every_reader_gets_every_record(share: ModuleType, style: str) -> None:
    figures = share.fan_out(3, style, 60, 200.0, 2)
    assert figures["received"] == 1
    assert figures["lost"] <= 0
    assert 0 < figures["p50"] <= figures["p95"]


def test_a_stopped_reader_is_told_what_it_missed_and_the_other_misses_nothing(share: ModuleType) -> None:
    figures = share.stopped(2_000, 2_000.0, 20)
    assert (figures["healthy got"], figures["healthy lost"]) == (2_000, 0)
    assert figures["stopped got"] + figures["stopped told missing"] == 2_000
    assert figures["stopped told missing"] > 0
    assert figures["memory + MB"] < 40


def test_the_stages_that_publish_are_timed_with_a_stopped_reader_and_without(share: ModuleType) -> None:
    figures = share.pipeline_fps(100, turns=1)
    assert figures["fps"] > 0
    assert figures["one stopped"] > 0


def test_who_joins_late_has_the_last_record_within_a_second(share: ModuleType) -> None:
    assert max(share.late_joiners(5)) < 1


def test_strangers_at_the_ports_get_nothing_and_break_nothing(share: ModuleType) -> None:
    probes = importlib.import_module("share_probes")
    outcome = probes.probe_all(4)
    assert outcome.probes == 2 * 4 + 3
    assert (outcome.accepted, outcome.broken) == (0, 0)
