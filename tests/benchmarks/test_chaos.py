"""The short form of a table of chaos: what it stops is stopped, and what it counts is counted."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from benchmarks import chaos


def test_a_run_whose_terminal_is_closed_is_gone_on_from(tmp_path: Path) -> None:
    random.seed(0)
    clean, seconds = chaos.whole(tmp_path, 300)
    row = chaos.stopped(tmp_path, "closed terminal", [signal.SIGHUP], clean, seconds, 1)
    assert (row["bytes equal"], row["left"], row["exit"]) == (1, 0, {129})
