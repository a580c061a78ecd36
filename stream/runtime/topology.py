"""How the groups of a run are laid out: which stages each has, and which queue joins it to the next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import psutil
from msgspec import Struct

from configs.schema import Settings
from stream.changes import Change
from stream.messages import Begin, Message, SourceSpec
from stream.stage import Stage

_WORKERS_MAX = 8
_WORKER_BYTES = 3 << 29
"""Memory that is left for each network."""
_HAS_NVIDIA = os.path.exists("/proc/driver/nvidia/version") or os.name == "nt"
"""Whether there may be a GPU; to know it a heavy library would have to be loaded."""


class GroupSpec(Struct, frozen=True):
    """One group: stages that share a process or a thread, and the queues at its ends."""

    number: int
    """From 1; of the slots whose pictures it is to read it is the owner."""
    name: str
    stages: tuple[str, ...]
    """Of the first group the first one reads the sources."""
    outlets: tuple[str, ...]
    """Addresses it sends to: several of a pool, which shares out the frames; none: it is the last group."""
    nexts: tuple[int, ...]
    """Numbers of the groups that it sends to."""
    control: str
    """Address of the supervisor."""
    device: str
    """What its infer stage computes on, if it has one."""
    threads: int = 0
    """CPU threads of its infer stage; 0: one a core."""
    sources: tuple[SourceSpec, ...] = ()
    """What its first stage reads, one after another; empty: it receives."""
    store: int = -1
    """Number of the frame store that its first stage fills."""
    inbox: str = ""
    """Address it receives at; empty: none."""
    senders: int = 0
    """How many groups send to its inbox; 0: it has none."""
    pool: int = 1
    """How many workers of a pool send to it: it restores the order of the frames."""
    begun: tuple[Begin, ...] = ()
    """Of its sources, which another group with these stages had begun before it died."""
    era: int = 0
    """How often stages were restarted before."""

    @property
    def identity(self) -> str:
        """Its name towards the supervisor, which one of another era does not share."""
        return f"{self.name}@{self.era}"


class Factory(Protocol):
    """Makes the stages of a pipeline; another one puts other stages in."""

    def source(
        self,
        specs: Sequence[SourceSpec],
        settings: Settings,
        stop: Callable[[], bool],
        changes: Callable[[], Iterable[Change]],
    ) -> Iterator[Message]:
        """The messages of the first stage, which reads the sources until `stop()`; live ones may change meanwhile."""

    def stage(self, name: str, settings: Settings) -> Stage:
        """A stage but the first."""


def groups(settings: Settings, sources: Sequence[SourceSpec], endpoint: Callable[[str], str]) -> list[GroupSpec]:
    """The pipeline as the settings group it, in order: decoders first.

    Where infer has a group of its own it is a pool that every decoder feeds; the group behind it restores the order.

    Args:
        settings: `stage_groups`, `runtime.decoders`, `infer.workers`, `engine.device` and `engine.threads` count here.
        sources: shared out over the decoders, in turn; recordings and live sources do not share one.
        endpoint: from a queue's name to its address.
    """
    first, *later = settings.stage_groups
    shares = _shares(sources, settings.runtime.decoders) if later else [tuple(sources)]
    devices, threads = settings.engine.device.split(","), settings.engine.threads
    if later and later[0] == ("infer",):
        devices, threads = pool(settings, any(source.live for source in sources))
    rows = [_numbered("+".join(first), len(shares))]
    rows += [_numbered("+".join(stages), len(devices) if at == 0 else 1) for at, stages in enumerate(later)]
    numbers = {name: number for number, name in enumerate((name for row in rows for name in row), 1)}
    laid = []
    for at, row in enumerate(rows):
        readers = rows[at + 1] if at + 1 < len(rows) else []
        for n, name in enumerate(row):
            spec = GroupSpec(
                number=numbers[name],
                name=name,
                stages=settings.stage_groups[at],
                outlets=tuple(endpoint(reader) for reader in readers),
                nexts=tuple(numbers[reader] for reader in readers),
                control=endpoint("control"),
                device=devices[n % len(devices)],
                threads=threads,
                sources=shares[n] if at == 0 else (),
                store=n if at == 0 else -1,
                inbox=endpoint(name) if at else "",
                senders=len(rows[at - 1]) if at else 0,
                pool=len(rows[1]) if at == 2 else 1,
            )
            laid.append(spec)
    return laid


def pool(settings: Settings, live: bool) -> tuple[list[str], int]:
    """The device of each infer worker, and the CPU threads that each has.

    On a CPU several networks of one thread each see more pictures a second than one network of several threads; each
    picture takes longer, so that live sources get one network with all cores. On a cluster a runner has some of them.
    """
    devices, threads = settings.engine.device.split(","), settings.engine.threads
    on_cluster = settings.cluster.address is not None
    cores = min(_cores(), max(1, int(settings.cluster.cpus))) if on_cluster else _cores()
    workers = settings.infer.workers
    if workers is None:
        on_cpu = devices == ["cpu"] or (devices == ["auto"] and not _HAS_NVIDIA)
        of_memory = psutil.virtual_memory().available // _WORKER_BYTES
        alone = live or bool(threads) or not on_cpu or settings.runtime.transport == "inproc"
        workers = 1 if alone else max(1, min(cores, of_memory, _WORKERS_MAX))
    workers *= len(devices)
    if (workers > 1 or on_cluster) and not threads:
        threads = max(1, cores // workers)
    return devices * (workers // len(devices)), threads


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _shares(sources: Sequence[SourceSpec], decoders: int) -> list[tuple[SourceSpec, ...]]:
    kinds = [[spec for spec in sources if spec.live is live] for live in (False, True)]
    return [tuple(some[n::decoders]) for some in kinds for n in range(min(decoders, len(some)))]


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{n + 1}" for n in range(count)]
