"""How the groups of a run are laid out: which stages each has, and which queue joins it to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from configs.schema import Settings
from stream.changes import Change
from stream.messages import Begin, Message, SourceSpec
from stream.stage import Stage


class GroupSpec(Struct, frozen=True):
    """One group: stages that share a process or a thread, and the queues at its ends."""

    number: int
    """From 1; of the slots whose pictures it is to read it is the owner."""
    name: str
    stages: tuple[str, ...]
    """Of the first group the first one reads the sources."""
    outlet: str
    """Address it sends to; empty: it is the last group."""
    next: int
    """Number of the group that it sends to; 0: none."""
    control: str
    """Address of the supervisor."""
    device: str
    """What its infer stage computes on, if it has one."""
    sources: tuple[SourceSpec, ...] = ()
    """What its first stage reads, one after another; empty: it receives."""
    store: int = -1
    """Number of the frame store that its first stage fills."""
    senders: int = 0
    """How many groups send to its inbox; 0: it has none."""
    begun: tuple[Begin, ...] = ()
    """Of those, which another group with these stages had begun before it died."""
    era: int = 0
    """How often stages were restarted before."""

    @property
    def identity(self) -> str:
        """Its name towards the supervisor, which one of another era does not share."""
        return f"{self.name}@{self.era}"

    inbox: str = ""
    """Address it receives at; empty: none."""


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

    Each device gets a second group of its own. A source belongs to one decoder and that to one device, so its
    frames keep their order.

    Args:
        settings: `stage_groups`, `runtime.decoders` and `engine.device` count here.
        sources: shared out over the decoders, in turn; recordings and live sources do not share one.
        endpoint: from a queue's name to its address.
    """
    first, *later = settings.stage_groups
    devices = settings.engine.device.split(",")
    shares = _shares(sources, max(settings.runtime.decoders, len(devices))) if later else [tuple(sources)]
    decoders = len(shares)
    devices = devices[:decoders]
    rows = [_numbered("+".join(first), decoders)]
    rows += [_numbered("+".join(stages), len(devices) if at == 0 else 1) for at, stages in enumerate(later)]
    numbers = {name: number for number, name in enumerate((name for row in rows for name in row), 1)}
    laid = []
    for at, row in enumerate(rows):
        readers = rows[at + 1] if at + 1 < len(rows) else []
        for n, name in enumerate(row):
            reader = readers[n % len(readers)] if readers else ""
            spec = GroupSpec(
                number=numbers[name],
                name=name,
                stages=settings.stage_groups[at],
                outlet=endpoint(reader) if reader else "",
                next=numbers.get(reader, 0),
                control=endpoint("control"),
                device=devices[n % len(devices)],
                sources=shares[n] if at == 0 else (),
                store=n if at == 0 else -1,
                senders=len(range(n, len(rows[at - 1]), len(row))) if at else 0,
                inbox=endpoint(name) if at else "",
            )
            laid.append(spec)
    return laid


def _shares(sources: Sequence[SourceSpec], decoders: int) -> list[tuple[SourceSpec, ...]]:
    kinds = [[spec for spec in sources if spec.live is live] for live in (False, True)]
    return [tuple(some[n::decoders]) for some in kinds for n in range(min(decoders, len(some)))]


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{n + 1}" for n in range(count)]
