"""On a GPU, TensorRT's engines give what the reference gives, and are built but once."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import compile as compile_engines
from engines.backends import eager, tensorrt
from engines.backends.verify import report
from engines.model.architecture import LITE
from engines.weights.load import load_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    pytest.mark.skipif(
        importlib.util.find_spec("torch_tensorrt") is None or importlib.util.find_spec("tensorrt") is None,
        reason="needs TensorRT: pip install 'posestream[tensorrt]'",
    ),
    pytest.mark.filterwarnings("ignore:Unable to import torchvision"),  # of torch_tensorrt; it is not needed here
]
HW = (320, 576)
DEVICE = torch.device("cuda:0")


def test_engines_give_what_the_reference_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_engines.build("lite", "auto", HW, DEVICE, torch.float16)
    parts = tensorrt.build(load_model("lite"), DEVICE, torch.float16, nobody)
    reference = eager.build(load_model("lite"), DEVICE)
    for batch in (1, 3, 16, 17):
        images = torch.randn(batch, 3, *HW, device=DEVICE)
        with torch.inference_mode():
            for mine, other in zip(parts.run["features"](images), reference.run["features"](images), strict=True):
                assert_close(mine, other)
    for rows in (1, 65, 1600):
        boxes, people = (torch.randn(rows, LITE.channels, cells, cells, device=DEVICE) for cells in (7, 14))
        with torch.inference_mode():
            for mine, other in zip(parts.run["box_head"](boxes), reference.run["box_head"](boxes), strict=True):
                assert_close(mine, other)
            assert_close(parts.run["keypoint_head"](people)[0], reference.run["keypoint_head"](people)[0])
    parity = report(parts, reference, load_model("lite"), LITE)
    with capsys.disabled():
        print("", *parity.lines(), sep="\n")
    assert parity.ok


def test_what_the_compiler_built_is_what_the_backend_loads_and_is_built_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "posestream" / "engines"
    assert compile_engines.main(["--imgsz", "64x96"]) == 0
    built = {path.name: path.stat().st_ino for path in folder.glob("*.engine")}
    assert len(built) == 3
    parts = tensorrt.build(load_model("lite"), DEVICE, torch.float16, nobody)
    parts.run["features"](torch.zeros(1, 3, 64, 96, device=DEVICE))
    assert compile_engines.main(["--imgsz", "64x96"]) == 0
    assert {path.name: path.stat().st_ino for path in folder.glob("*.engine")} == built


def nobody(name: str, image_hw: tuple[int, int]) -> Any:
    raise AssertionError(f"asked for {name} of {image_hw}")


def assert_close(mine: torch.Tensor, other: torch.Tensor) -> None:
    assert mine.dtype == other.dtype
    assert (mine - other).abs().max() < 0.03 * other.abs().max()
