"""The parts in fp16 on an NVIDIA GPU, each call one CUDA graph: what to launch is said once, not with every batch.

Nothing is compiled and nothing kept on disk. The first call of a part with a new number of rows, and the second with
pictures of a new size, takes a moment longer: it is recorded.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from configs.errors import EngineError
from engines.backends.buckets import Buckets, BySize, Program, powers_of_two
from engines.backends.eager import channels_last
from engines.model.network import Network
from engines.model.parts import FP16_MAX, Parts, PartSpec, Run

_SIZES_MAX = 8
"""Sizes of pictures whose graphs are kept; each holds the memory of all that it computes."""
_ONE_AT_A_TIME: Final = threading.Lock()
"""Held while a graph is recorded: torch records but one in a process at a time."""
_WARM_UPS = 3
"""Calls before one is recorded: cuDNN and cuBLAS choose and allocate in the first ones."""


class Place(NamedTuple):
    """Where graphs are recorded. Those of one place lie on top of each other in the GPU's memory."""

    pool: Any
    stream: torch.cuda.Stream
    """One for all: memory is taken over only by what is recorded on the same stream."""


Record = Callable[[nn.Module, Tensor, Place | None], Program]
"""Makes a program of a part and the memory that it reads."""


def build(network: Network, device: torch.device) -> Parts:
    """A network's parts, each call one CUDA graph; the network is left as it is.

    Results of the part that takes pictures are fp16 and hold until it is called again; others are fp32 copies.

    Raises:
        EngineError: the device is no NVIDIA GPU that is there; later, in a call: the GPU has no memory for a graph.
    """
    there = torch.cuda.device_count()
    if device.type != "cuda" or (device.index or 0) >= there:
        raise EngineError(
            f"backend graphs needs an NVIDIA GPU, got device {device} where torch sees {there} GPUs: "
            "use another device or --backend auto"
        )
    return parts_of(network, device, torch.float16, Captured)


def parts_of(network: Network, device: torch.device, dtype: torch.dtype, record: Record) -> Parts:
    """Parts that copy rows into buckets and run what `record` makes of them; on a CPU without a place."""
    network = channels_last(copy.deepcopy(network).to(device, dtype))
    # One stream for all, and memory for each part: a graph may write, on its way, where another left its results. So
    # those hold until the same part is called again, whatever the other parts do.
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None
    run = {
        name: _run(part, Place(torch.cuda.graph_pool_handle(), stream) if stream else None, device, dtype, record)
        for name, part in network.parts().items()
    }
    return Parts(run, device, FP16_MAX)


def _run(part: PartSpec, place: Place | None, device: torch.device, dtype: torch.dtype, record: Record) -> Run:
    layout = torch.contiguous_format if part.channels_last else torch.channels_last
    # From an eighth of a picture's usual rows on: a smaller bucket would not be quicker.
    sizes = powers_of_two(-(-part.rows.usual // 8), part.rows.most)

    def buckets(image_hw: tuple[int, int]) -> Buckets:
        return Buckets(
            lambda rows: record(part.module, rows, place),
            sizes,
            lambda count: _zeros((count, *part.row_of(image_hw)), device, dtype, layout),
        )

    if part.takes_pictures:
        return BySize(buckets, lambda rows: list(part.module(rows.to(device, dtype, memory_format=layout))), _SIZES_MAX)
    rows_of_all = buckets((0, 0))  # the size of the pictures does not matter
    return lambda rows: [found.to(torch.float32, copy=True) for found in rows_of_all(rows)]


class Captured:
    """A part's work on one piece of memory, recorded once."""

    def __init__(self, part: nn.Module, rows: Tensor, place: Place | None) -> None:
        """Record it.

        Raises:
            EngineError: that cannot be done, most likely for want of memory.
        """
        assert place is not None  # a CPU has no graphs
        self._held = part, rows  # the graph reads their memory and does not keep it
        self._graph = torch.cuda.CUDAGraph()
        try:
            with _ONE_AT_A_TIME, torch.cuda.device(rows.device), torch.inference_mode(False), torch.no_grad():
                _warm_up(part, rows, place.stream)
                # Thread-local: other threads may go on using the GPU meanwhile.
                with torch.cuda.graph(self._graph, place.pool, place.stream, capture_error_mode="thread_local"):
                    self._found = list(part(rows))
        except RuntimeError as error:
            # To end a recording that failed fails too, and says less.
            reason = str(error.__context__ or error).strip().partition("\n")[0]
            raise EngineError(
                f"backend graphs cannot record {tuple(rows.shape)}: {reason}; use --backend eager"
            ) from error

    def __call__(self) -> list[Tensor]:
        """Do it again with what is in the memory now. The results lie where they lay before."""
        self._graph.replay()
        return self._found


def _warm_up(part: nn.Module, rows: Tensor, stream: torch.cuda.Stream) -> None:
    stream.wait_stream(torch.cuda.current_stream(rows.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            part(rows)
    torch.cuda.current_stream(rows.device).wait_stream(stream)


def _zeros(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    with torch.inference_mode(False):  # what is made in inference mode can be written to in inference mode only
        return torch.zeros(shape, device=device, dtype=dtype).to(memory_format=layout)
