"""The first stage: sources to frames, with their true times."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from threading import Event

from configs.sources import DecodeSettings, LiveSettings
from stream.changes import Add, Change, Pause, Remove, no_changes
from stream.messages import Message, SourceSpec
from stream.sources.file import FileSource
from stream.sources.given_up import GivenUpSource
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
    changes: Callable[[], Iterable[Change]] = no_changes,
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
        changes: where a live source is among them, what has been asked for since its last call.
    """
    if not any(spec.live for spec in specs):
        yield from in_turn((source_of(spec, settings, stop, live) for spec in specs), stop, cut_every)
        return
    halts = _Halts(stop)
    resting = [Pause(spec.name) for spec in specs if spec.paused]

    def changed() -> Iterator[Live | Change]:
        yield from (resting.pop() for _ in list(resting))
        for change in changes():
            if isinstance(change, Remove):
                halts.halt(change.source)
            yield (
                live_of(change.spec, settings, halts.of(change.spec.name), live) if isinstance(change, Add) else change
            )

    sources = [source_of(spec, settings, halts.of(spec.name), live) for spec in specs if not spec.live]
    lives = [live_of(spec, settings, halts.of(spec.name), live) for spec in specs if spec.live]
    try:
        yield from merged(lives, halts.asked, sources, changed)
    finally:
        halts.all.set()


class _Halts:
    """Who is to be read no further, told to threads: they must not ask `stop`, which may be anything."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        self.all = Event()
        self._sources: dict[str, Event] = {}

    def asked(self) -> bool:
        """Whether all are to stop; for the thread that may ask `stop`."""
        if self._stop():
            self.all.set()
        return self.all.is_set()

    def halt(self, source: str) -> None:
        """Let one be read no further."""
        self._sources[source].set()

    def of(self, source: str) -> Callable[[], bool]:
        """What a source's thread asks."""
        event = self._sources[source] = Event()
        return lambda: self.all.is_set() or event.is_set()


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
        return Realtime(spec, lambda wanted: _recording(wanted, settings, stop), stop)
    return LiveSource(spec, settings, live, stop)


def _recording(spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> Source:
    if spec.given_up:
        return GivenUpSource(spec, spec.given_up)
    return (ImagesSource if spec.kind == "images" else FileSource)(spec, settings, stop)
