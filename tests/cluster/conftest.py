"""Working folders with clips, and what a run on one machine makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numbered
import pytest
from cluster_batch import make_clips, outputs, run_alone


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clips and the outputs of a run on one machine."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(Path(numbered.__file__).parent))
        make_clips()
        run_alone("whole")
    return folder


@pytest.fixture
def whole(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The outputs of a run on one machine; the working folder holds its clips."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    shutil.copytree(made / "clips", "clips")
    return outputs(str(made / "whole"))
