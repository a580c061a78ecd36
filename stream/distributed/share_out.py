"""How a batch is cut into tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from msgspec import structs

from configs.schema import Settings
from stream.address import uri_of
from stream.distributed.found import folder_of
from stream.distributed.tasks import Files, Plan, Task
from stream.expected import bytes_of
from stream.messages import SourceSpec

_TASKS_A_RUNNER = 4
"""At least, where there are as many files: so the last runner to end keeps the others waiting for a quarter at most."""
_FILES_MAX = 64
"""Of a task: what a lost runner's task says of the others is known at once."""


def shared_out(specs: Sequence[SourceSpec], runners: int, settings: Settings) -> list[Task]:
    """Tasks for so many runners, in the order of the sources: files of about the same bytes in each.

    A task loads the network once, so small files share one. A recording of more bytes than would be one runner's
    share of all is cut into parts.
    """
    sizes = [bytes_of(spec) for spec in specs]
    may_split = settings.cluster.split and runners > 1 and settings.runtime.cut_every > 0
    is_long = [
        may_split and spec.kind == "file" and size > sum(sizes) / runners and _is_new(spec)
        for spec, size in zip(specs, sizes, strict=True)
    ]
    plans = [Plan(placed(spec), _TASKS_A_RUNNER * runners) for spec, long in zip(specs, is_long, strict=True) if long]
    short = [(placed(spec), size) for spec, size, long in zip(specs, sizes, is_long, strict=True) if not long]
    bytes_max = sum(sizes) / (_TASKS_A_RUNNER * runners)
    return [*plans, *(Files(tuple(bundle)) for bundle in _bundles(short, bytes_max))]


def _is_new(spec: SourceSpec) -> bool:
    """Whether nothing of it is committed but parts: the rest of a run is done where it was begun."""
    return not spec.states or folder_of(spec.folder).exists()


def placed(spec: SourceSpec) -> SourceSpec:
    """The source with paths that lead to it from any working folder."""
    return structs.replace(spec, uri=uri_of(os.path.abspath(spec.path)), folder=os.path.abspath(spec.folder), states={})


def _bundles(files: Sequence[tuple[SourceSpec, int]], bytes_max: float) -> Iterator[list[SourceSpec]]:
    bundle: list[SourceSpec] = []
    held = 0
    for spec, size in files:
        if bundle and (held + size > bytes_max or len(bundle) == _FILES_MAX):
            yield bundle
            bundle, held = [], 0
        bundle.append(spec)
        held += size
    if bundle:
        yield bundle
