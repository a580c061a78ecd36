"""The graphs that TensorRT is given compute what the parts do, and not one operator of them is left over."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from configs.errors import EngineError
from engines import compile as compile_engines
from engines.backends import eager, tensorrt
from engines.backends.exported import exported_part
from engines.backends.fingerprint import weights_hash
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.parts import Run, in_groups
from engines.weights.load import load_model

ROOT = Path(__file__).parents[3]
HW = (64, 96)
PARTS = pytest.mark.parametrize("name", ["features", "box_head", "keypoint_head"])

needs_torch_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None, reason="torch_tensorrt is not installed"
)
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so this is no error here")


@pytest.fixture(scope="module")
def lite() -> KeypointRCNN:
    return load_model("lite")


@pytest.fixture(autouse=True)
def _quiet_generator() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def planned(*models: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.tensorrt_plan", "256x320", *models]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_torch_tensorrt
def test_each_part_becomes_one_engine_in_fp16_with_every_operator_in_it() -> None:
    models = ["lite", "r50", "r101", "x101"]
    plans = planned(*models)
    parts = ["features", "box_head", "keypoint_head"]
    assert [(plan["model"], plan["part"]) for plan in plans] == [(m, part) for m in models for part in parts]
    for plan in plans:
        assert plan["operators"] == plan["converted"] > 0, plan
        assert plan["engines"] == 1, plan
        assert plan["dtypes"] == ["torch.float16"], plan


@PARTS
def test_a_graph_gives_what_its_part_gives_for_any_number_of_rows(lite: KeypointRCNN, name: str) -> None:
    part = lite.parts()[name]
    graph = exported_part(part, HW, torch.float32).module()
    for rows in (1, 3, 16):
        x = torch.randn(rows, *part.row_of(HW))
        for got, wanted in zip(graph(x), part.module(x), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)


@PARTS
def test_a_graph_in_fp16_takes_and_gives_fp32_close_to_the_part_s_and_leaves_the_network_alone(
    lite: KeypointRCNN, name: str
) -> None:
    before = weights_hash(lite)
    part = lite.parts()[name]
    x = torch.randn(2, *part.row_of(HW))
    got = exported_part(part, HW, torch.float16).module()(x)
    for mine, other in zip(got, part.module(x), strict=True):
        assert mine.dtype == torch.float32
        assert (mine - other).abs().max() < 0.02 * other.abs().max()
        assert not torch.equal(mine, other)  # it was computed in fp16
    assert weights_hash(lite) == before


def test_more_rows_than_a_graph_takes_are_refused_by_it_so_they_are_run_in_groups(lite: KeypointRCNN) -> None:
    part = lite.parts()["features"]
    graph = exported_part(part, (32, 32), torch.float32).module()
    rows = torch.randn(17, 3, 32, 32)
    with pytest.raises((AssertionError, RuntimeError), match="16"):
        graph(rows)
    for got, wanted in zip(in_groups(graph, rows, 16), part.module(rows), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_refused(lite: KeypointRCNN) -> None:
    with pytest.raises(EngineError, match=r"float16 or float32, not in torch\.bfloat16"):
        exported_part(lite.parts()["keypoint_head"], HW, torch.bfloat16)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda:0", marks=no_gpu), "cuda:99"])
def test_without_its_gpu_the_backend_is_refused_in_one_line(lite: KeypointRCNN, device: str) -> None:
    with pytest.raises(EngineError, match=rf"^backend tensorrt needs an NVIDIA GPU, got device {device} [^\n]+$"):
        tensorrt.build(lite, torch.device(device), torch.float16, nobody)


def test_pictures_of_a_size_without_an_engine_go_to_another_backend_and_the_rest_to_engines(
    lite: KeypointRCNN,
) -> None:
    cpu = torch.device("cpu")
    reference, asked = eager.build(lite, cpu), []

    def load(name: str, image_hw: tuple[int, int]) -> Run | None:
        if name == "features" and image_hw != HW:
            return None
        return lambda rows: [y + 1 for y in reference.run[name](rows)]

    def absent(name: str, image_hw: tuple[int, int]) -> Run:
        asked.append((name, image_hw))
        return reference.run[name]

    parts = tensorrt.parts_of(lite.parts(), load, cpu, absent)
    for hw, more in ((HW, 1), ((32, 32), 0), (HW, 1), ((32, 32), 0)):
        images = torch.randn(17, 3, *hw)
        for got, wanted in zip(parts.run["features"](images), reference.run["features"](images), strict=True):
            torch.testing.assert_close(got, wanted + more, rtol=1e-3, atol=1e-4)
    assert asked == [("features", (32, 32))]
    people = torch.randn(65, *lite.parts()["keypoint_head"].row)
    (maps,), (wanted,) = parts.run["keypoint_head"](people), reference.run["keypoint_head"](people)
    torch.testing.assert_close(maps, wanted + 1, rtol=1e-3, atol=1e-4)


def test_heads_without_engines_are_not_served_by_anybody(lite: KeypointRCNN) -> None:
    with pytest.raises(EngineError, match=r"no engine of box_head: python -m engines\.compile builds it"):
        tensorrt.parts_of(lite.parts(), lambda *_: None, torch.device("cpu"), nobody)


def nobody(name: str, image_hw: tuple[int, int]) -> Run:
    raise AssertionError(f"asked for {name} of {image_hw}")


def test_the_compiler_says_in_one_line_that_there_is_no_such_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert compile_engines.main(["--imgsz", "64x96", "--device", "cuda:99"]) == EngineError.exit_code == 6
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: backend tensorrt needs an NVIDIA GPU")
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [("os.abort()", "signal SIGABRT"), ("os.kill(os.getpid(), 9)", "signal SIGKILL"), ("os._exit(3)", "exit code 3")],
)
def test_a_builder_that_crashes_is_told_of_and_takes_no_one_with_it(
    capsys: pytest.CaptureFixture[str], code: str, said: str
) -> None:
    assert compile_engines.in_a_child([sys.executable, "-c", f"import os; {code}"]) == 6
    assert f"ended with {said}" in capsys.readouterr().err
    assert compile_engines.in_a_child([sys.executable, "-c", ""]) == 0


@pytest.mark.parametrize("size", ["320", "320x", "x576", "320x570", "0x576", "320x-32", "320x576x3", "32768x32"])
def test_a_size_that_no_network_sees_is_refused(capsys: pytest.CaptureFixture[str], size: str) -> None:
    with pytest.raises(SystemExit) as left:
        compile_engines.main(["--imgsz", size])
    assert left.value.code == 2
    assert f"got {size}, expected" in capsys.readouterr().err
