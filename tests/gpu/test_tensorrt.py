"""On a GPU, TensorRT's engines give what the reference gives, and are built but once."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from engines import compile as compile_engines
from engines.backends import eager, tensorrt
from engines.cache import EngineCache
from engines.model.architecture import LITE
from engines.weights import load_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.skipif(
        importlib.util.find_spec("torch_tensorrt") is None or importlib.util.find_spec("tensorrt") is None,
        reason="needs TensorRT: pip install 'posestream[tensorrt]'",
    ),
]
HW = (320, 576)
DEVICE = torch.device("cuda:0")


def test_engines_give_what_the_reference_gives_and_are_not_built_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cache = EngineCache(tmp_path / "engines")
    parts = tensorrt.tensorrt_parts(load_model("lite"), DEVICE, cache)
    reference = eager.build(load_model("lite"), DEVICE)
    for batch in (1, 3, 16, 17):
        images = torch.randn(batch, 3, *HW, device=DEVICE)
        with torch.inference_mode():
            for got, wanted in zip(parts.features(images), reference.features(images), strict=True):
                for mine, other in zip(got, wanted, strict=True):
                    assert_close(mine, other)
    for rows in (1, 65, 1600):
        boxes, people = (torch.randn(rows, LITE.channels, cells, cells, device=DEVICE) for cells in (7, 14))
        with torch.inference_mode():
            for mine, other in zip(parts.box_head(boxes), reference.box_head(boxes), strict=True):
                assert_close(mine, other)
            assert_close(parts.keypoint_head(people), reference.keypoint_head(people))
    built = {path.name: path.stat().st_ino for path in cache.folder.glob("*.engine")}
    assert len(built) == 3
    again = tensorrt.tensorrt_parts(load_model("lite"), DEVICE, EngineCache(cache.folder))
    again.features(torch.zeros(1, 3, *HW, device=DEVICE))
    assert {path.name: path.stat().st_ino for path in cache.folder.glob("*.engine")} == built


def test_what_the_compiler_built_is_what_the_backend_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile_engines.main(["--imgsz", "64x96"]) == 0
    built = set((tmp_path / "posestream" / "engines").glob("*.engine"))
    assert len(built) == 3
    tensorrt.build(load_model("lite"), DEVICE).features(torch.zeros(1, 3, 64, 96, device=DEVICE))
    assert set((tmp_path / "posestream" / "engines").glob("*.engine")) == built


def assert_close(mine: torch.Tensor, other: torch.Tensor) -> None:
    assert mine.dtype == other.dtype
    assert (mine - other).abs().max() < 0.03 * other.abs().max()
