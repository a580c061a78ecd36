"""The loop of a group: who waits for more does not wait for ever."""

from __future__ import annotations

from pathlib import Path

from numbered import Patient, ledger, sources

from configs.runtime import RuntimeSettings
from configs.schema import InferSettings, Settings
from stream.runtime.supervisor import Supervisor


def test_a_stage_that_waits_for_more_is_not_kept_waiting_by_more(tmp_path: Path) -> None:
    """A message each 20 ms: to wait 100 ms from the last one would be to wait to the end."""
    (spec,) = specs = sources(tmp_path, 40)
    Patient.given.clear()
    settings = Settings(infer=InferSettings(workers=1), runtime=RuntimeSettings(transport="inproc", slots=40))
    Supervisor(settings, specs, "numbered:Waiting").run(lambda: 0, lambda _: None)
    assert ledger(spec) == [(n, n, n) for n in range(40)]
    assert sum(Patient.given) > 10
