"""The first stage: sources to frames, with their true times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from configs.schema import DecodeSettings
from stream.messages import Message, SourceSpec
from stream.sources.file import FileSource
from stream.sources.images import ImagesSource
from stream.sources.merge import in_turn, merged
from stream.sources.source import Source


def decode(
    specs: Sequence[SourceSpec], settings: DecodeSettings, stop: Callable[[], bool], cut_every: int = 0
) -> Iterator[Message]:
    """Messages of the sources: of each Begin, every Frame in the order in which it is shown, End.

    Recordings are read one after another, then live sources side by side. Pictures are upright RGB, times the
    container's own. What cannot be decoded is left out and counted, what could be only in part is flagged
    "damaged" and counted too. A source of which nothing can be had gives an End alone, which says why.
    `Frame.index` counts from the first frame given.

    Args:
        specs: files and image folders.
        settings: range, limits, assumed frame rate.
        cut_every: after so many frames of a recording comes a Cut; 0: never.
        stop: asked before each packet; once it is true, the source at hand ends as stopped and no other is opened.
    """
    sources = [source_of(spec, settings, stop) for spec in specs]
    yield from in_turn([source for source in sources if not source.live], stop, cut_every)
    if live := [source for source in sources if source.live]:
        yield from merged(live, stop)


def source_of(spec: SourceSpec, settings: DecodeSettings, stop: Callable[[], bool]) -> Source:
    """The source that a spec names, not yet opened."""
    return (ImagesSource if spec.kind == "images" else FileSource)(spec, settings, stop)
