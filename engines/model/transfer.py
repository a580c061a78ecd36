"""Between the host and a GPU, without a wait that nobody asked for. On a CPU there is nothing to do.

A copy between a GPU and ordinary host memory makes the host wait until the GPU has done all that it was told before;
a copy to or from pinned memory takes its place in the GPU's queue.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(host: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host, on a device; the host does not wait."""
    # The allocator of pinned memory keeps it until the copy is done, whatever becomes of the tensor.
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)


def to_host(tensor: Tensor) -> Tensor:
    """A tensor on the host. The one function that waits for a GPU: call it as seldom as possible."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    done = torch.cuda.Event()
    done.record(torch.cuda.current_stream(tensor.device))
    done.synchronize()
    return host
