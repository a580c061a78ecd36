"""On a GPU, CUDA graphs give what the reference gives, and nothing of another call."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from engines.backends import eager, graphs
from engines.backends.verify import report
from engines.model.architecture import LITE
from engines.model.parts import FP16_MAX, Parts
from engines.weights.load import load_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
DEVICE = torch.device("cuda:0")
C = LITE.channels


@pytest.fixture(scope="module")
def reference() -> Parts:
    return eager.build(load_model("lite"), DEVICE)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return graphs.build(load_model("lite"), DEVICE)


@pytest.mark.parametrize("hw", [(320, 576), (96, 160)], ids=str)
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 16, 17])
@torch.inference_mode()
def test_pictures_give_what_the_reference_gives_also_with_others_in_between(
    parts: Parts, reference: Parts, batch: int, hw: tuple[int, int]
) -> None:
    images = torch.randn(batch, 3, *hw, device=DEVICE)
    parts.run["features"](images)  # a size is recorded when it comes for the second time
    first = [level.clone() for level in parts.run["features"](images)]
    for mine, other in zip(first, reference.run["features"](images), strict=True):
        assert_close(mine, other)
    parts.run["features"](torch.full((17, 3, *hw), 100.0, device=DEVICE))
    for mine, other in zip(parts.run["features"](images), first, strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("rows", [1, 3, 65, 128, 129, 1600])
@torch.inference_mode()
def test_heads_give_what_the_reference_gives_also_with_others_in_between(
    parts: Parts, reference: Parts, rows: int
) -> None:
    boxes, people = (torch.randn(rows, C, cells, cells, device=DEVICE) for cells in (7, 14))
    found = (*parts.run["box_head"](boxes), *parts.run["keypoint_head"](people))
    before = [each.clone() for each in found]
    for mine, other in zip(
        found, (*reference.run["box_head"](boxes), *reference.run["keypoint_head"](people)), strict=True
    ):
        assert mine.dtype == torch.float32
        assert_close(mine, other)
    parts.run["box_head"](-boxes)
    parts.run["keypoint_head"](-people)
    again = (*parts.run["box_head"](boxes), *parts.run["keypoint_head"](people))
    for mine, kept, other in zip(again, found, before, strict=True):
        assert torch.equal(mine, other)
        assert torch.equal(kept, other)


@torch.inference_mode()
def test_what_pictures_gave_holds_while_the_heads_are_recorded_and_run() -> None:
    parts = graphs.build(load_model("lite"), DEVICE)
    parts.run["features"](torch.zeros(1, 3, 96, 160, device=DEVICE))
    for batch in (4, 1, 2):  # each later one is recorded over what lay between in the earlier ones
        seen = parts.run["features"](torch.randn(batch, 3, 96, 160, device=DEVICE))
        before = [level.clone() for level in seen]
        for rows in (100 * batch, 1):
            parts.run["box_head"](torch.randn(rows, C, 7, 7, device=DEVICE))
            parts.run["keypoint_head"](torch.randn(min(rows, 64), C, 14, 14, device=DEVICE))
        for mine, other in zip(seen, before, strict=True):
            assert torch.equal(mine, other)


@torch.inference_mode()
def test_a_size_that_had_to_go_is_recorded_again(reference: Parts) -> None:
    parts = graphs.build(load_model("lite"), DEVICE)
    sizes = [(64, 32 * columns) for columns in range(2, 12)]
    for hw in [*sizes, *sizes]:
        images = torch.randn(1, 3, *hw, device=DEVICE)
        parts.run["features"](images)
        for mine, other in zip(parts.run["features"](images), reference.run["features"](images), strict=True):
            assert_close(mine, other)


@torch.inference_mode()
def test_the_reference_computes_without_tf32(reference: Parts) -> None:
    images = torch.randn(1, 3, 320, 576)
    on_cpu = eager.build(load_model("lite"), torch.device("cpu")).run["features"](images)
    for mine, other in zip(reference.run["features"](images.to(DEVICE)), on_cpu, strict=True):
        assert (mine.cpu() - other).abs().max() < 1e-4 * other.abs().max()


def test_the_whole_agrees_with_the_reference(
    parts: Parts, reference: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    parity = report(parts, reference, load_model("lite"), LITE)
    with capsys.disabled():
        print("", *parity.lines(), sep="\n")
    assert parity.ok


def assert_close(mine: Tensor, other: Tensor) -> None:
    assert mine.shape == other.shape
    assert (mine.float() - other).abs().max() < FP16_MAX * other.abs().max()
