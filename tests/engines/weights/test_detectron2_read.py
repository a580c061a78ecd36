"""Detectron2's pickles: every kind of array is read as it was written, and nothing else is read or run."""

from __future__ import annotations

import os
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2_made import made, pixels, published

from configs.errors import EngineError
from engines.model.architecture import R50_D2, ResNet
from engines.weights.detectron2 import read

SMALL = replace(
    R50_D2, body=ResNet((1, 1, 1, 1), stride_in_1x1=True), channels=8, box_features=4, keypoint_features=(4,)
)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_every_pickle_of_arrays_is_read_as_it_was_written(protocol: int, tmp_path: Path) -> None:
    whole = made(SMALL).state_dict() | pixels((103.530, 116.280, 123.675), (1.0, 1.0, 1.0))
    found = read(published(whole, tmp_path / "model.pkl", protocol))
    assert found.keys() == {name for name in whole if not name.endswith("num_batches_tracked")}
    assert all(torch.equal(found[name], whole[name]) for name in found)


def test_arrays_of_older_numpy_of_other_orders_and_kinds_are_read(tmp_path: Path) -> None:
    arrays = {
        "fortran": np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3)),
        "big": np.arange(5, dtype=">f4"),
        "half": np.arange(5, dtype=np.float16),
        "one": np.array(7, dtype=np.int64),
        "none": np.zeros((0, 3), np.float32),
    }
    text = pickle.dumps({"model": arrays}, protocol=3)
    assert b"numpy._core.multiarray" in text
    (tmp_path / "old.pkl").write_bytes(text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    found = read(tmp_path / "old.pkl")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array)


class _Bomb:
    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ((os.system, "touch MARK"), "system"),
        ((eval, "open('MARK', 'w')"), "eval"),
        ((subprocess.Popen, ["touch", "MARK"]), "Popen"),
        ((np.save, "MARK", 1), "save"),
        ((getattr, "", "join"), "getattr"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_wants_more_is_refused_and_not_run(
    call: tuple[object, ...], name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bomb.pkl").write_bytes(pickle.dumps({"model": {"weight": _Bomb(*call)}}, protocol))
    with pytest.raises(EngineError, match=rf"bomb.pkl cannot be read: it wants \w+\.{name}, which no weights need$"):
        read(Path("bomb.pkl"))
    assert os.listdir() == ["bomb.pkl"]


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"model": {"weight": 1.0}}),
        pickle.dumps({"model": [np.zeros(3)]}),
        pickle.dumps({"model": {"weight": np.array(["text"])}}),
        pickle.dumps({"model": {"weight": np.array([{}])}}),
        pickle.dumps({"model": {"weight": np.array([1j])}}),
        pickle.dumps({"model": {"weight": np.zeros(3, np.uint16)}}),
        pickle.dumps({"model": {1: np.zeros(3)}}),
        pickle.dumps({"model": {"weight": np.zeros(300)}})[:-900],
        b"cnumpy\nndarray\n)R.",
        b"}X\x05\x00\x00\x00model}X\x01\x00\x00\x00wcnumpy\nndarray\n)Rss.",
    ],
    ids="empty text list number list2 strings objects complex uint16 integer cut bare unfilled".split(),
)
def test_what_is_no_checkpoint_is_refused_in_one_line(held: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.pkl").write_bytes(held)
    with pytest.raises(
        EngineError, match=r"odd\.pkl (cannot be read: |is no checkpoint of Detectron2's: |holds )"
    ) as told:
        read(tmp_path / "odd.pkl")
    assert "\n" not in str(told.value)
