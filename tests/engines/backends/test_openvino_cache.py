"""Converted models are kept whole or not at all, read back as they were, and those used longest ago go first."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends import openvino_cache
from engines.backends.openvino_models import core, library


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """Two that add different numbers; each takes some 4 kB."""
    opset13 = library().opset13

    def adds(number: float) -> Any:
        given = opset13.parameter([1000], np.float32)
        return library().Model([opset13.add(given, np.full(1000, number, np.float32))], [given])

    return {"one": adds(1), "two": adds(2)}


def aged(folder: Path, hours: float) -> Path:
    for path in (folder, *folder.iterdir()):
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    return folder


def test_what_was_kept_is_read_back(models: dict[str, Any], tmp_path: Path) -> None:
    assert openvino_cache.read(core(), tmp_path / "a", models) is None
    openvino_cache.keep(library(), models, tmp_path / "a")
    found = openvino_cache.read(core(), tmp_path / "a", models)
    assert found is not None
    sums = {name: core().compile_model(model, "CPU")(np.zeros(1000, np.float32))[0][0] for name, model in found.items()}
    assert sums == {"one": 1, "two": 2}


def test_a_damaged_folder_is_none_and_goes(models: dict[str, Any], tmp_path: Path) -> None:
    openvino_cache.keep(library(), models, tmp_path / "a")
    (tmp_path / "a" / "two.xml").write_text("<net")
    assert openvino_cache.read(core(), tmp_path / "a", models) is None
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_processes_that_write_the_same_stays(models: dict[str, Any], tmp_path: Path) -> None:
    openvino_cache.keep(library(), models, tmp_path / "a")
    kept = (tmp_path / "a" / "one.bin").stat().st_ino
    with pytest.raises(OSError, match="not empty"):
        openvino_cache.keep(library(), models, tmp_path / "a")
    assert (tmp_path / "a" / "one.bin").stat().st_ino == kept
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_above_the_size_those_used_longest_ago_go_but_never_the_newest(models: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        openvino_cache.keep(library(), models, tmp_path / name)
        aged(tmp_path / name, hours=9)
    bytes_each = sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
    aged(tmp_path / "b", hours=10)
    openvino_cache.read(core(), tmp_path / "b", models)  # used now
    openvino_cache.keep(library(), models, tmp_path / "d", bytes_max=2 * bytes_each)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "d"]
    openvino_cache.keep(library(), models, tmp_path / "e", bytes_max=1)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_what_a_killed_process_left_goes_and_what_another_one_writes_stays(
    models: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("scratch-old", "tmpabc", "scratch-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.xml").write_text("half of it")
    aged(tmp_path / "scratch-old", hours=2)
    openvino_cache.keep(library(), models, tmp_path / "a", bytes_max=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "scratch-new"]
