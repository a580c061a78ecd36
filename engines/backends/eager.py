"""The reference: ordinary torch in fp32, on a CPU or a GPU."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from engines.model.network import Network
from engines.model.parts import Parts, Run

_ONE_AT_A_TIME: Final = threading.Lock()


def build(network: Network, device: torch.device) -> Parts:
    """Move a network to a device and give its parts, in fp32 and nothing less: on a GPU without TF32."""
    network = channels_last(network.to(device))
    parts: dict[str, Run] = {name: spec.module for name, spec in network.parts().items()}
    if device.type == "cuda":
        parts = {name: _exact(part) for name, part in parts.items()}
    return Parts(parts, device)


def channels_last(network: Network) -> Network:
    """Lay out a network's convolutions as oneDNN and cuDNN are quickest with, and as cells are cut out."""
    for weights in network.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return network


@contextlib.contextmanager
def full_fp32() -> Iterator[None]:
    """Let fp32 be fp32 on a GPU while this lasts.

    torch's default rounds what goes into a convolution to TF32's ten bits: off by 1e-3 where 1e-4 is promised. The
    switch is the process's own, so it is put back: other code of the process keeps what it chose, and of several
    engines, each with a thread and a GPU, one launches at a time.
    """
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]  # torch puts it there when imported
    products = torch.backends.cuda.matmul
    with _ONE_AT_A_TIME:
        before = convolutions.fp32_precision, products.fp32_precision
        convolutions.fp32_precision = products.fp32_precision = "ieee"
        try:
            yield
        finally:
            convolutions.fp32_precision, products.fp32_precision = before


def _exact(part: Run) -> Run:
    def run(x: Tensor) -> Sequence[Tensor]:
        if torch.compiler.is_compiling():  # backend inductor: a compiler reads switches, it cannot turn them
            return part(x)
        with full_fp32():
            return part(x)

    return run
