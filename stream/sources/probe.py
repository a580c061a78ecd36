"""Whether sources can be read, found out before a network is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import structs

from configs.errors import SourceError
from configs.sources import DecodeSettings, LiveSettings
from stream.decode import LIVE, source_of
from stream.messages import Begin, SourceSpec
from stream.sources.live import Unreachable


def probe(
    specs: Sequence[SourceSpec], settings: DecodeSettings, live: LiveSettings = LIVE
) -> Iterator[Begin | SourceError]:
    """What each source is, or why it cannot be read; a source is opened when its turn is asked for.

    It costs what opening and decoding one frame from the source's beginning costs: 10 to 50 ms of a video, however
    long, a few ms of an image folder; the range is not looked at. A live source is connected to once.
    """
    once = live.model_copy(update={"reconnect_limit": 0})
    for spec in specs:
        source = source_of(structs.replace(spec, start_s=0.0, end_s=None), settings, lambda: False, once)
        try:
            begin = source.open()
            assert begin is not None  # nothing stops it
            yield structs.replace(begin, spec=spec)
        except SourceError as error:
            yield error
        finally:
            source.close()


def check(specs: Sequence[SourceSpec], settings: DecodeSettings, live: LiveSettings = LIVE) -> None:
    """Make sure that there is something to read: sources are opened in turn until one can be.

    So a run of good files costs one opening, and a folder with a bad file among good ones passes: that file is
    named when its turn comes. A live source that cannot be reached is waited for.

    Raises:
        SourceError: none can be read; a line for each.
    """
    errors = []
    for found in probe(specs, settings, live):
        if isinstance(found, Begin | Unreachable):
            return
        errors.append(str(found))
    raise SourceError("\n".join(errors))
