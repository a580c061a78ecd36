"""How a batch is cut into tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from msgspec import structs

from stream.address import uri_of
from stream.distributed.tasks import Files, Task
from stream.expected import bytes_of
from stream.messages import SourceSpec

_TASKS_A_RUNNER = 4
"""At least, where there are as many files: so the last runner to end keeps the others waiting for a quarter at most."""
_FILES_MAX = 64
"""Of a task: what a lost runner's task says of the others is known at once."""


def shared_out(specs: Sequence[SourceSpec], runners: int) -> list[Task]:
    """Tasks for so many runners, in the order of the sources: files of about the same bytes in each.

    A task loads the network once, so small files share one.
    """
    sizes = [bytes_of(spec) for spec in specs]
    bytes_max = sum(sizes) / (_TASKS_A_RUNNER * runners)
    return [Files(tuple(bundle)) for bundle in _bundles(specs, sizes, bytes_max)]


def placed(spec: SourceSpec) -> SourceSpec:
    """The source with paths that lead to it from any working folder."""
    return structs.replace(spec, uri=uri_of(os.path.abspath(spec.path)), folder=os.path.abspath(spec.folder), states={})


def _bundles(specs: Sequence[SourceSpec], sizes: Sequence[int], bytes_max: float) -> Iterator[list[SourceSpec]]:
    bundle: list[SourceSpec] = []
    held = 0
    for spec, size in zip(specs, sizes, strict=True):
        if bundle and (held + size > bytes_max or len(bundle) == _FILES_MAX):
            yield bundle
            bundle, held = [], 0
        bundle.append(spec)
        held += size
    if bundle:
        yield bundle
