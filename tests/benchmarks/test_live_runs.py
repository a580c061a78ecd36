"""The short form of each table of live runs says what the long one measures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import live_runs

slow = pytest.mark.skipif(
    os.environ.get("POSESTREAM_SLOW") != "1",
    reason="a minute, and what it measures has tests of its own: set POSESTREAM_SLOW=1",
)


def test_ages_of_a_camera_are_bounded_whether_the_network_keeps_up_or_not(tmp_path: Path) -> None:
    (row,) = live_runs.glass(tmp_path / "glass", short=True)
    assert row["n"] > 20
    assert 20 <= row["p50"] < 1000
    found = live_runs.overload(tmp_path / "overload", short=True)
    assert found["p99"] < 1000, "--max-age is 500 ms, and a busy machine adds its own"
    assert found["delivered"] < 0.7 * found["served"]
    assert 0 <= found["served"] - found["offered"] <= 10, "frames that were served are neither delivered nor dropped"


@slow
def test_what_becomes_of_one_camera_changes_nothing_for_the_others(tmp_path: Path) -> None:
    phases = dict(live_runs.cameras(tmp_path, short=True))
    assert list(phases) == ["four", "one away", "it is back", "one added", "one removed"]
    assert all(figures["apart"] < 0.2 for figures in phases.values())
    assert min(min(figures[name] for name in "abc") for figures in phases.values()) > 5


@slow
def test_frames_come_again_after_a_fault_of_a_stage(tmp_path: Path) -> None:
    assert [row[:2] for row in live_runs.faults(tmp_path, short=True)] == [("SIGKILL", "decode"), ("SIGSTOP", "decode")]


@slow
def test_ctrl_c_ends_a_run_in_five_seconds_also_while_its_camera_is_away(tmp_path: Path) -> None:
    assert max(live_runs.interrupts(tmp_path, short=True)) < 5
