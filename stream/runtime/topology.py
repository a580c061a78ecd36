"""Which stages, in which order, grouped how, joined by which queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from configs.schema import Settings
from stream.messages import Message, SourceSpec
from stream.runtime.metrics import Meter, Metered, timed_source
from stream.stage import Chain, Sinks, Stage


class GroupSpec(Struct, frozen=True):
    """One group: stages that share a process or a thread, and the queues at its ends."""

    name: str
    stages: tuple[str, ...]
    outlet: str
    """Address it sends to; empty: it is the last group."""
    credits: tuple[str, ...]
    """Addresses of slots that come back: its own, or, in the last group, each decoder's."""
    control: str
    """Address of the supervisor."""
    device: str
    """What its infer stage computes on, if it has one."""
    sources: tuple[SourceSpec, ...] = ()
    """What its decode stage reads, one after another; empty without one."""
    store: int = -1
    """Number of the frame store that its decode stage fills."""
    senders: int = 0
    """How many groups send to its inbox; 0: it has none."""
    inbox: str = ""
    """Address it receives at; empty: none."""


class Factory(Protocol):
    """Makes the stages of a pipeline; another one puts other stages in."""

    def stage(self, name: str, settings: Settings) -> Stage:
        """Make infer, nms, track, render or a sink."""

    def source(self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool]) -> Iterator[Message]:
        """Read sources one after another, until `stop()`."""


class Pipeline:
    """posestream's own stages."""

    def stage(self, name: str, settings: Settings) -> Stage:
        """Make a stage; its heavy libraries are loaded here and nowhere earlier."""
        if name == "infer":
            from stream.infer import Infer

            # The tracker looks at everybody down to its low score, in any mode, and at nobody below.
            score_min = max(settings.engine.score_min or 0.0, settings.track.score_low)
            engine = settings.engine.model_copy(update={"score_min": score_min})
            return Infer(engine, settings.infer, settings.runtime.slots)
        if name == "nms":
            from stream.nms import Nms

            return Nms(settings.nms)
        if name == "track":
            from stream.track import Track

            return Track(settings.track, settings.smooth)
        if name == "render":
            from stream.render import Render

            return Render(settings.render)
        if name == "video":
            from stream.sinks.video import VideoSink

            return VideoSink(settings.video)
        if name == "records":
            from stream.sinks.records import RecordsSink

            return RecordsSink()
        raise ValueError(f"no stage is called {name!r}")

    def source(self, specs: Sequence[SourceSpec], settings: Settings, stop: Callable[[], bool]) -> Iterator[Message]:
        """Decode sources one after another."""
        from stream.decode import decode

        return decode(specs, settings.decode, stop)


def groups(settings: Settings, sources: Sequence[SourceSpec], endpoint: Callable[[str], str]) -> list[GroupSpec]:
    """Lay the pipeline out as the settings group it.

    Each device gets a group of its own that infers. A source belongs to one decoder and that to one device, so its
    frames keep their order.

    Args:
        settings: `runtime.groups`, `runtime.decoders` and `engine.device` count here.
        sources: shared out over the decoders, in turn.
        endpoint: from a queue's name to its address.
    """
    first, *later = settings.runtime.groups
    devices = settings.engine.device.split(",")
    decoders = min(max(settings.runtime.decoders, len(devices)), len(sources)) if later else 1
    devices = devices[:decoders]
    names = ["+".join(group) for group in later]
    credit = tuple(endpoint(f"credits-{n}") for n in range(decoders))
    heads = _numbered(names[0], len(devices)) if later else []
    control = endpoint("control")
    laid = [
        GroupSpec(
            name=name,
            stages=first,
            sources=tuple(sources[n::decoders]),
            store=n,
            outlet=endpoint(heads[n % len(heads)]) if later else "",
            credits=(credit[n],) if later else (),
            control=control,
            device=devices[0],
        )
        for n, name in enumerate(_numbered("+".join(first), decoders))
    ]
    for at, stages in enumerate(later):
        last = at == len(later) - 1
        for n, name in enumerate(heads if at == 0 else [names[at]]):
            laid.append(
                GroupSpec(
                    name=name,
                    stages=stages,
                    senders=len(range(n, decoders, len(heads))) if at == 0 else len(heads) if at == 1 else 1,
                    inbox=endpoint(name),
                    outlet="" if last else endpoint(names[at + 1]),
                    credits=credit if last else (),
                    control=control,
                    device=devices[n],
                )
            )
    return laid


def _numbered(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}-{n + 1}" for n in range(count)]


def build(stages: Sequence[str], settings: Settings, factory: Factory, meters: dict[str, Meter]) -> Chain:
    """Make the stages of a group, but for decode, each with its meter."""

    def metered(name: str) -> Stage:
        return Metered(name, factory.stage(name, settings), meters.setdefault(name, Meter()))

    made = [metered(name) for name in stages if name in ("infer", "nms", "track")]
    if "render" in stages:
        branches: list[Stage] = []
        if settings.records.save:
            branches.append(metered("records"))
        if settings.video.save:
            branches.append(Chain([metered("render"), metered("video")]))
        made.append(Sinks(branches))
    return Chain(made)


def read(
    spec: GroupSpec, settings: Settings, factory: Factory, meters: dict[str, Meter], stop: Callable[[], bool]
) -> Iterator[Message]:
    """Read the sources of a group, timed."""
    meter = meters.setdefault("decode", Meter())
    return timed_source("decode", meter, factory.source(spec.sources, settings, stop))
