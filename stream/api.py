"""For Python: any source to a generator of tracked frames, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from configs.errors import SourceError
from configs.load import load, resolve
from configs.options import keywords
from configs.schema import Settings
from stream.messages import Begin, Drop, End, SourceSpec, Tracks
from stream.pipeline import Pipeline
from stream.records import Record, Recorder
from stream.runtime.metrics import Metered, StageMeter, timed
from stream.sources.find import find
from stream.sources.folder import Wanted
from stream.stage import Chain, run_here

Named = str | Path | int
"""A file, folder, glob, address or list of them, as `--source` takes it; a camera's number."""


class Problem(Struct, frozen=True):
    """What was wrong with one source; the others are read all the same."""

    source: str
    """Its name, as in the records."""
    text: str
    """One line: which source, and what is wrong."""
    unusable: bool
    """No frame of it could be read. False: it is damaged or cut short, and what could be read was."""


def tracks(
    source: Named | Sequence[Named],
    config: str | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Iterator[Record]:
    """One record per frame, as in keypoints.jsonl, while the sources are read.

    It needs neither the main thread nor signals. Files follow one another and lose nothing. Cameras and addresses are
    read side by side and connected anew when they break; who takes their records slowly misses frames, and each record
    says how many: the newest frame counts. Closing the generator, or leaving the loop and letting go of it, ends all
    threads and connections within a second or so.

    Args:
        source: one or several.
        config: a YAML file, or a preset's name.
        on_problem: called when a source has ended in which something was wrong, before the next one is read. None:
            damaged frames are left out unsaid, and a source that could not be read to its end is raised after all
            others were read.
        stop: asked at each frame and, of live sources, ten times a second; once it is true the records end. None: they
            end with the sources, and a camera that never answers is waited for without end.
        options: as on the command line, `model="lite", smooth="ema", start="1:30", realtime=True`, or any setting:
            section, underscore, key, as `track_lost_after_s=2`.

    Raises:
        ConfigError: a setting cannot be used.
        SourceError: a source cannot be found; without `on_problem` also where one cannot be read: a line for each.
        EngineError: the network cannot be loaded.
        RefusedError: others may read the file of credentials.
    """
    changes, typed = keywords(options)
    settings = resolve(load(config, (), changes, typed))
    named = [source] if isinstance(source, Named) else source
    section = settings.source
    wanted = Wanted(section.recursive, section.include, section.exclude)
    specs = find([str(each) for each in named], section.realtime, section.allow_pipe, wanted=wanted)
    return _records(specs, settings, on_problem, stop or (lambda: False))  # mistakes are raised here, not at a frame


def _records(
    specs: Sequence[SourceSpec],
    settings: Settings,
    on_problem: Callable[[Problem], None] | None,
    stop: Callable[[], bool],
) -> Iterator[Record]:
    pipeline = Pipeline()
    names = ["nms", "track"] if specs[0].kind == "messages" else ["infer", "nms", "track"]
    chain = Chain([Metered(name, pipeline.stage(name, settings), StageMeter()) for name in names])
    labels = {spec.name: spec.label for spec in specs}
    recorders: dict[str, Recorder] = {}
    read, unread = set[str](), list[str]()
    source = pipeline.source(specs, settings, stop)
    stamped = timed("decode", StageMeter(), source, one_by_one=True)
    with closing(source), closing(run_here(stamped, chain, at_once=any(spec.live for spec in specs))) as messages:
        for message in messages:
            match message:
                case Begin():
                    recorders[message.spec.name] = Recorder(message.live)
                case Drop():
                    recorders[message.frame.source].drop(message)
                case Tracks():
                    read.add(message.frame.source)
                    yield recorders[message.frame.source].record(message)
                case End() if message.problem or message.damaged:
                    text = message.problem or f"{labels[message.source]}: {message.damaged} of its parts are damaged"
                    if on_problem:
                        on_problem(Problem(message.source, text, message.source not in read))
                    elif message.problem:
                        unread.append(text)
    if unread:
        raise SourceError("\n".join(unread))
