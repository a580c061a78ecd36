"""The first stage: sources to frames, with their true times."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from threading import Event

from configs.sources import DecodeSettings, LiveSettings
from stream.messages import Message, SourceSpec
from stream.sources.file import FileSource
from stream.sources.images import ImagesSource
from stream.sources.live import LiveSource
from stream.sources.merge import in_turn, merged
from stream.sources.realtime import Realtime
from stream.sources.source import Live, Source

LIVE = LiveSettings()


def decode(
    specs: Sequence[SourceSpec],
    settings: DecodeSettings,
    stop: Callable[[], bool],
    live: LiveSettings = LIVE,
    cut_every: int = 0,
) -> Generator[Message, None, None]:
    """Messages of the sources: of each Begin, every Frame in the order in which it is shown, End.

    Recordings are read one after another; beside live sources, which are read side by side and tell their Status, they
    are a row of their own. Pictures are upright RGB, times the container's own. What cannot be decoded is left out and
    counted, what could be only in part is flagged "damaged" and counted too. A source of which nothing can be had
    gives an End alone, which says why. `Frame.index` counts from the first frame given; frames of a live source that
    nobody had time for are gaps in it.

    Args:
        specs: what to read.
        settings: range, limits, assumed frame rate.
        cut_every: after so many frames of a recording comes a Cut; 0: never.
        stop: asked before each packet; once it is true, the source at hand ends as stopped and no other is opened.
        live: how live sources are kept alive.
    """
    if not any(spec.live for spec in specs):
        yield from in_turn((source_of(spec, settings, stop, live) for spec in specs), stop, cut_every)
        return
    halted = Event()  # threads must not ask `stop`, which may be anything

    def asked() -> bool:
        if stop():
            halted.set()
        return halted.is_set()

    recordings = [source_of(spec, settings, halted.is_set, live) for spec in specs if not spec.live]
    try:
        yield from merged(
            [live_of(spec, settings, halted.is_set, live) for spec in specs if spec.live], asked, recordings
        )
    finally:
        halted.set()


def source_of(
    spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool], live: LiveSettings = LIVE
) -> Source:
    """The source that a spec names, not yet opened."""
    if spec.live:
        return live_of(spec, settings, stop, live)
    return _recording(spec, settings, stop)


def live_of(spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool], live: LiveSettings) -> Live:
    """The live source that a spec names, not yet opened."""
    if spec.kind in ("file", "images"):
        return Realtime(spec.name, _recording(spec, settings, stop), stop)
    return LiveSource(spec, settings, live, stop)


def _recording(spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> Source:
    return (ImagesSource if spec.kind == "images" else FileSource)(spec, settings, stop)
