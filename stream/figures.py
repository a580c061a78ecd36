"""Where a run stands, in figures: of its stages, of its sources, of the whole."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class StageFigures(Struct):
    """What a stage has done so far."""

    frames: int = 0
    """Frames that it has handed on."""
    busy_s: float = 0.0
    """Time spent working, waiting not counted."""
    p50_ms: float = 0.0
    """Time a frame, median; 0 before the first frame."""
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    dropped: dict[str, int] = {}
    """Cause -> frames that it gave up."""


class SourceFigures(Struct, frozen=True):
    """Where one source of a run stands."""

    name: str
    label: str
    """Its address for people."""
    live: bool
    state: Literal["waiting", "starting", "ok", "degraded", "reconnecting", "failed", "paused", "ended", "stopped"]
    """waiting: not opened yet; else as `Status` says; ended: by itself; stopped: the run was interrupted."""
    reason: str
    """One line for people; empty if all is well."""
    frames: int
    """Frames that reached the outputs."""
    people: int
    """People in all frames: one person in ten frames counts ten."""
    dropped: dict[str, int]
    """Cause -> frames that were lost."""
    expected: int | None
    """How many frames there will be; None if unknown. An estimate."""
    seconds: float
    """From its opening to its end or to now."""


class RunFigures(Struct, frozen=True, tag=True):
    """Where a whole run stands, as its supervisor has heard: for stages that show it."""

    sources: list[SourceFigures]
    """In the run's order, a few hundred at most: the open ones before those that ended last, those before the rest."""
    sources_total: int
    """How many the run has."""
    sources_ended: int
    """How many of them have ended."""
    stages: dict[str, StageFigures]
    groups: dict[str, Literal["loading", "ready", "done", "failed"]]
    """Group of stages -> how it is; ready: its models are loaded and it works."""
    held: dict[str, int]
    """Group -> frames that wait for it or are in it."""
    memory_bytes: dict[str, int]
    """Group -> resident memory of its process."""
    restarts: int
    """How often the stages behind live sources were restarted."""
    seconds: float
    """Since the first frame could flow; 0 while models load."""
