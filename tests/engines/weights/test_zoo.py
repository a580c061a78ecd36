"""The table of published weights says what its sources say, and everything in it can be used."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engines.model.architecture import ARCHITECTURES
from engines.weights import zoo

ROOT = Path(__file__).parents[3]
ENTRIES = pytest.mark.parametrize("entry", zoo.ENTRIES.values(), ids=lambda entry: entry.name)


@ENTRIES
def test_the_published_digits_are_also_in_the_name_of_the_file(entry: zoo.Entry) -> None:
    digits = re.search(r"[-_]([0-9a-f]+)\.(pth|pkl)$", entry.url)
    assert digits
    assert entry.digest.startswith(digits[1])
    assert len(entry.digest) <= len(hashlib.new(entry.hash_kind).hexdigest())


@ENTRIES
def test_each_entry_is_for_a_model_and_comes_over_https(entry: zoo.Entry) -> None:
    assert entry.model in ARCHITECTURES
    assert entry.url.startswith("https://")
    assert entry.file.endswith(".pkl" if entry.detectron2 else ".pth")
    assert zoo.ENTRIES[entry.name] is entry


def test_auto_takes_the_better_of_what_is_published_for_a_model() -> None:
    assert [entry.name for entry in zoo.of_model("r50")] == ["coco_v1", "coco_legacy"]
    assert zoo.of_model("lite") == []
    for model in ARCHITECTURES:
        published = [entry.keypoint_ap for entry in zoo.of_model(model)]
        assert published == sorted(published, reverse=True)
        assert published or model in ("lite", "lite-next", "bottom-up")


@pytest.mark.parametrize("kind", ["sha256", "md5"])
@pytest.mark.parametrize("digits", [6, 32])
def test_as_many_digits_are_compared_as_are_published(kind: str, digits: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    whole = hashlib.new(kind, b"weights").hexdigest()
    entry = replace(zoo.COCO_V1, hash_kind=kind, digest="0" * digits)
    assert entry.digest_of(path) == whole[:digits]


def test_the_table_can_be_read_without_loading_torch() -> None:
    code = "import sys, engines.weights.zoo; print(*sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
