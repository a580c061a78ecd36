"""What may change while a live run goes on: which sources it reads, and which of them rest."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from stream.messages import SourceSpec


class Add(Struct, frozen=True, tag=True):
    """Read one more live source."""

    spec: SourceSpec


class Remove(Struct, frozen=True, tag=True):
    """Read a source no further; it ends as stopped."""

    source: str


class Pause(Struct, frozen=True, tag=True):
    """Take no more frames of a source; it stays connected, and its frames are dropped as "paused"."""

    source: str


class Resume(Struct, frozen=True, tag=True):
    """Take the frames of a source again."""

    source: str


Change = Add | Remove | Pause | Resume


def no_changes() -> Iterable[Change]:
    """Nothing: of a run that stays as it began."""
    return ()


def changed(sources: Iterable[SourceSpec], change: Change) -> tuple[SourceSpec, ...]:
    """The sources after a change."""
    match change:
        case Add():
            return *sources, change.spec
        case Remove():
            return tuple(spec for spec in sources if spec.name != change.source)
        case Pause() | Resume():
            paused = isinstance(change, Pause)
            return tuple(
                structs.replace(spec, paused=paused) if spec.name == change.source else spec for spec in sources
            )
