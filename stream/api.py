"""For Python: any source to a generator of tracked frames, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from configs.errors import SourceError
from configs.load import load, resolve
from stream.messages import End, Tracks
from stream.pipeline import Pipeline
from stream.records import Record, record_of
from stream.sources.find import find
from stream.stage import Chain, run_here


def tracks(source: str | Path, config: str | None = None, **changes: Any) -> Iterator[Record]:
    """Give one record a frame, as in keypoints.jsonl, while the source is read.

    Args:
        source: file, folder or glob; several sources follow one another.
        config: a YAML file, or a preset's name.
        changes: any setting, as `engine_model="lite"` or `track_lost_after_s=2`: part, underscore, key.

    Raises:
        ConfigError: a setting cannot be used.
        SourceError: a source cannot be read.
        EngineError: the network cannot be loaded.
    """
    settings = resolve(load(config, (), {name.replace("_", ".", 1): value for name, value in changes.items()}))
    pipeline = Pipeline()
    stages = [pipeline.stage(name, settings) for name in ("infer", "nms", "track")]
    messages = pipeline.source(find([str(source)]), settings, lambda: False)
    for message in run_here(messages, Chain(stages)):
        if isinstance(message, Tracks):
            yield record_of(message)
        elif isinstance(message, End) and message.problem:
            raise SourceError(message.problem)
