"""For Python: any source to a generator of tracked frames, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from configs.errors import SourceError
from configs.load import load, resolve
from configs.options import keywords
from configs.schema import Settings
from stream.messages import End, SourceSpec, Tracks
from stream.pipeline import Pipeline
from stream.records import Record, record_of
from stream.sources.find import find
from stream.stage import Chain, run_here


class Problem(Struct, frozen=True):
    """What was wrong with one source; the others are read all the same."""

    source: str
    """Its name, as in the records."""
    text: str
    """One line: which source, and what is wrong."""
    unusable: bool
    """No frame of it could be read. False: it is damaged or cut short, and what could be read was."""


def tracks(
    source: str | Path, config: str | None = None, on_problem: Callable[[Problem], None] | None = None, **options: Any
) -> Iterator[Record]:
    """One record per frame, as in keypoints.jsonl, while the source is read.

    Args:
        source: file, folder or glob; several sources follow one another.
        config: a YAML file, or a preset's name.
        on_problem: called when a source has ended in which something was wrong, before the next one is read. None:
            damaged frames are left out unsaid, and a source that could not be read to its end is raised after all
            others were read.
        options: as on the command line, `model="lite", smooth="ema", start="1:30"`, or any setting: section,
            underscore, key, as `track_lost_after_s=2`.

    Raises:
        ConfigError: a setting cannot be used.
        SourceError: a source cannot be found; without `on_problem` also where one cannot be read: a line for each.
        EngineError: the network cannot be loaded.
    """
    changes, typed = keywords(options)
    settings = resolve(load(config, (), changes, typed))
    return _records(find([str(source)]), settings, on_problem)  # mistakes are raised here, not at the first frame


def _records(
    specs: Sequence[SourceSpec], settings: Settings, on_problem: Callable[[Problem], None] | None
) -> Iterator[Record]:
    pipeline = Pipeline()
    stages = [pipeline.stage(name, settings) for name in ("infer", "nms", "track")]
    named = {spec.name: spec for spec in specs}
    read, unread = set[str](), list[str]()
    for message in run_here(pipeline.source(specs, settings, lambda: False), Chain(stages)):
        if isinstance(message, Tracks):
            read.add(message.frame.source)
            yield record_of(message)
        elif isinstance(message, End) and (message.problem or message.damaged):
            text = message.problem or f"{named[message.source].label}: {message.damaged} of its parts are damaged"
            if on_problem:
                on_problem(Problem(message.source, text, message.source not in read))
            elif message.problem:
                unread.append(text)
    if unread:
        raise SourceError("\n".join(unread))
