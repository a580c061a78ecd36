"""Several processes that train one network, a GPU each, as torchrun starts them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """Which process this is, and of how many."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def wrapped(self, network: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> Callable[..., dict[str, Tensor]]:
        """A network's losses, whose gradients are the means over all processes."""
        if self.count == 1:
            return losses
        # A picture without anybody gives the keypoint head no gradient: parameters may be unused.
        return DistributedDataParallel(_Losses(network, losses), find_unused_parameters=True)

    def joining(self, losses: object, now: bool) -> AbstractContextManager[Any]:
        """Within it gradients are added up; where `now`, also over all processes."""
        return nullcontext() if now or not isinstance(losses, DistributedDataParallel) else losses.no_sync()

    def agreed(self, elapsed_s: float, stop: bool) -> tuple[float, bool]:
        """What the first process says, so that all come to the same end."""
        if self.count == 1:
            return elapsed_s, stop
        said = torch.tensor([elapsed_s, float(stop)], dtype=torch.float64, device=_device())
        distributed.broadcast(said, 0)
        return said[0].item(), bool(said[1].item())

    def means(self, values: Mapping[str, float]) -> dict[str, float]:
        """Of each value its mean over all processes."""
        if self.count == 1:
            return dict(values)
        sums = torch.tensor(list(values.values()), dtype=torch.float64, device=_device())
        distributed.all_reduce(sums)
        return dict(zip(values, (sums / self.count).tolist(), strict=True))

    def wait(self) -> None:
        """Until all have come so far."""
        if self.count > 1:
            distributed.barrier()


ALONE: Final = Processes()


@contextmanager
def joined(gpus: bool) -> Iterator[Processes]:
    """The processes that torchrun has started, joined; without it this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield Processes(int(os.environ["RANK"]), count)
    finally:
        gc.collect()  # DistributedDataParallel is in a cycle; one that outlives its group aborts the process at its end
        distributed.destroy_process_group()


class _Losses(nn.Module):
    """What DistributedDataParallel wants: losses as a forward pass."""

    def __init__(self, network: nn.Module, losses: Callable[..., dict[str, Tensor]]) -> None:
        super().__init__()
        self.network, self._losses = network, losses

    def forward(self, *given: Any) -> dict[str, Tensor]:
        """Losses by task; see `Trainable`."""
        return self._losses(*given)


def _device() -> torch.device:
    gpu = distributed.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
