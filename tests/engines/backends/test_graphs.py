"""What goes around CUDA graphs: rows are put into buckets, and nothing of the padding or of another call comes out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from configs.errors import EngineError
from engines.backends import eager, graphs
from engines.backends.buckets import Buckets, BySize, Program, powers_of_two
from engines.model.architecture import LITE
from engines.model.keypoint_rcnn import KeypointRCNN
from engines.model.parts import Parts
from engines.weights.load import load_model

CPU = torch.device("cpu")


class Recorder:
    """Makes programs that keep their results in memory of their own, as a graph does; remembers for how many rows."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, memory: Tensor) -> Program:
        self.sizes.append(len(memory))
        mine = [torch.zeros(len(memory)), torch.zeros_like(memory)]

        def run() -> Sequence[Tensor]:
            mine[0].copy_(memory.flatten(1).sum(1))
            mine[1].copy_(2 * memory)
            return mine

        return run


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def buckets(recorder: Recorder, *sizes: int) -> Buckets:
    return Buckets(recorder, sizes, lambda count: torch.zeros(count, 3))


def assert_right(found: list[Tensor], rows: Tensor) -> None:
    sums, doubles = found
    torch.testing.assert_close(sums, rows.sum(1))
    assert torch.equal(doubles, 2 * rows)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (3, [4]), (16, [16]), (17, [16, 1]), (35, [16, 4]), (65, [16, 1])]
)
def test_rows_go_through_the_smallest_bucket_that_takes_them(recorder: Recorder, count: int, sizes: list[int]) -> None:
    rows = torch.randn(count, 3)
    assert_right(buckets(recorder, 1, 2, 4, 8, 16)(rows), rows)
    assert recorder.sizes == sizes


def test_a_bucket_is_made_once(recorder: Recorder) -> None:
    run = buckets(recorder, 4, 8)
    for count in (3, 4, 5, 2, 8, 1):
        rows = torch.randn(count, 3)
        assert_right(run(rows), rows)
    assert recorder.sizes == [4, 8]


def test_nothing_of_the_call_before_comes_out(recorder: Recorder) -> None:
    run = buckets(recorder, 4)
    rows = torch.randn(2, 3)
    before = [found.clone() for found in run(rows)]
    run(torch.full((4, 3), torch.nan))
    for found, other in zip(run(rows), before, strict=True):
        assert torch.equal(found, other)


def test_rows_of_any_type_and_layout_become_those_of_the_memory(recorder: Recorder) -> None:
    seen: list[Tensor] = []

    def keep(memory: Tensor) -> Program:
        seen.append(memory)
        return recorder(memory)

    run = Buckets(
        keep, [4], lambda count: torch.zeros(count, 2, 5, 5, dtype=torch.float16).to(memory_format=torch.channels_last)
    )
    rows = torch.randn(3, 2, 5, 5)
    run(rows)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(seen[0][:3], rows.half())
    assert not seen[0][3].any()


def of_two_sizes(recorder: Recorder) -> tuple[BySize, list[tuple[int, int]]]:
    """What keeps the programs of two sizes, and the sizes that it has made any for."""
    made: list[tuple[int, int]] = []

    def make(size: tuple[int, int]) -> Buckets:
        made.append(size)
        return Buckets(recorder, [1], lambda count: torch.zeros(count, 1, *size))

    def directly(images: Tensor) -> list[Tensor]:
        return [images.flatten(1).sum(1), 2 * images]

    return BySize(make, directly, sizes_max=2), made


def test_the_sizes_used_last_are_kept(recorder: Recorder) -> None:
    run, made = of_two_sizes(recorder)
    for size in ((2, 3), (4, 5), (2, 3), (6, 7), (2, 3), (4, 5)):
        for _ in range(2):
            images = torch.randn(1, 1, *size)
            assert torch.equal(run(images)[1], 2 * images)
    assert made == [(2, 3), (4, 5), (6, 7), (4, 5)]


def test_a_size_is_worth_a_program_when_it_comes_again_before_too_many_others(recorder: Recorder) -> None:
    run, made = of_two_sizes(recorder)
    a, b, c = (2, 3), (4, 5), (6, 7)
    for size, known in ((a, []), (b, []), (c, []), (a, []), (c, [c]), (a, [c, a]), (b, [c, a]), (a, [c, a])):
        images = torch.randn(1, 1, *size)
        assert torch.equal(run(images)[1], 2 * images)
        assert made == known, size


def test_the_last_bucket_is_the_largest_number_of_rows() -> None:
    assert powers_of_two(1, 16) == (1, 2, 4, 8, 16)
    assert powers_of_two(128, 1000) == (128, 256, 512, 1000)
    assert powers_of_two(4, 4) == (4,)


def test_the_reference_s_precision_is_put_back_also_when_it_fails() -> None:
    switches = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [switch.fp32_precision for switch in switches]
    assert "ieee" not in before
    meanwhile = []

    def fails() -> None:
        meanwhile.extend(switch.fp32_precision for switch in switches)
        raise EngineError("no memory")

    with pytest.raises(EngineError, match="no memory"), eager.full_fp32():
        fails()
    assert meanwhile == ["ieee", "ieee"]
    assert [switch.fp32_precision for switch in switches] == before


@pytest.fixture(scope="module")
def network() -> KeypointRCNN:
    return load_model("lite")


@pytest.fixture(scope="module")
def bucketed(network: KeypointRCNN) -> Parts:
    """The backend's parts with everything but the capture: each program runs its part into memory of its own."""

    def record(part: nn.Module, rows: Tensor, _place: graphs.Place | None) -> Program:
        with torch.inference_mode(False):
            mine = [found.clone() for found in part(rows)]

        def run() -> list[Tensor]:
            for memory, found in zip(mine, part(rows), strict=True):
                memory.copy_(found)
            return mine

        return run

    return graphs.parts_of(network, CPU, torch.float32, record)


@pytest.mark.parametrize("count", [1, 3, 17])
@torch.inference_mode()
def test_parts_give_what_the_reference_gives(network: KeypointRCNN, bucketed: Parts, count: int) -> None:
    reference = eager.build(network, CPU)
    for name, part in network.parts().items():
        rows = torch.randn(count, *part.row_of((32, 64)))
        for mine, other in zip(bucketed.run[name](rows), reference.run[name](rows), strict=True):
            assert_alike(mine, other)


def test_parts_can_be_called_in_and_out_of_inference_mode(bucketed: Parts) -> None:
    rows = torch.randn(1, LITE.channels, 14, 14)
    with torch.inference_mode():
        inside = bucketed.run["keypoint_head"](rows)[0].clone()
    assert torch.equal(bucketed.run["keypoint_head"](rows)[0], inside)


def test_what_the_heads_gave_outlives_their_next_call(bucketed: Parts) -> None:
    (first,) = bucketed.run["keypoint_head"](torch.randn(2, LITE.channels, 14, 14))
    before = first.clone()
    bucketed.run["keypoint_head"](torch.randn(2, LITE.channels, 14, 14))
    assert torch.equal(first, before)


def test_the_network_is_left_as_it_is(network: KeypointRCNN) -> None:
    before = {name: (tensor.dtype, tensor.clone()) for name, tensor in network.state_dict().items()}
    graphs.parts_of(network, CPU, torch.float16, lambda part, rows, place: list)
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == before[name][0]
        assert torch.equal(tensor, before[name][1])


@pytest.mark.parametrize("device", ["cpu", "cuda:99"])
def test_a_device_that_is_no_gpu_of_this_machine_is_refused(network: KeypointRCNN, device: str) -> None:
    with pytest.raises(EngineError, match=f"^backend graphs needs an NVIDIA GPU, got device {device} .*[^\n]$"):
        graphs.build(network, torch.device(device))


def assert_alike(mine: Tensor, other: Tensor) -> None:
    assert mine.shape == other.shape
    assert (mine - other).abs().max() <= 1e-4 * other.abs().max()
