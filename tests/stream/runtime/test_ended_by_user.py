"""A stage that the user talks to can end the run."""

from __future__ import annotations

from pathlib import Path

import numbered
import pytest
from numbered import ledger, sources

from configs.runtime import RuntimeSettings
from configs.schema import Settings
from stream.launch import launch


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_stage_ends_the_run_as_ctrl_c_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str) -> None:
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    specs = sources(tmp_path, 100_000)
    settings = Settings(runtime=RuntimeSettings(transport=transport))  # type: ignore[arg-type]
    summary, failure = launch(settings, specs, lambda: 0, lambda _: None, "numbered:Quitting")
    assert failure is None
    assert summary.interrupted
    assert summary.exit_code == 0
    assert not summary.sources[0].complete
    assert [number for number, *_ in ledger(specs[0])] == list(range(summary.frames))  # all that was under way
    assert 10 < summary.frames < 5_000
