"""What is said when a run has ended: a line a source, or of many only those that went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stream.ledger import LEDGER
from stream.summary import SourceSummary, Summary

_SAID_MAX = 20


def problems(summary: Summary) -> list[str]:
    """Lines that say what was wrong with sources, twenty at most, and what else should be known of them."""
    wrong = [line for source in summary.sources for line in _wrong(source)]
    more = len(wrong) - _SAID_MAX
    return wrong if more <= 0 else [*wrong[:_SAID_MAX], f"and {more} more; all are in {_root(summary) / LEDGER}"]


def results(summary: Summary) -> Iterator[str]:
    """Lines that say what is done, and where it lies."""
    if len(summary.sources) > _SAID_MAX:
        states = [source.state for source in summary.sources]
        counts = [f"{states.count(state)} {state}" for state in ("done", "damaged", "failed", "stopped")]
        said = ", ".join(count for count in counts if not count.startswith("0 "))
        yield f"{len(states)} sources: {said}; see {_root(summary) / LEDGER}"
    else:
        for source in summary.sources:
            if source.outputs:
                yield f"{source.source}: {source.frames} frames" + ("" if source.complete else ", not complete")
                yield from (f"  {Path(source.folder) / name}" for name in source.outputs)
    if not all(source.before for source in summary.sources):
        yield f"{summary.done} frames in {summary.seconds:.1f} s, {summary.fps:.1f} fps"


def _wrong(source: SourceSummary) -> Iterator[str]:
    if source.problem:
        yield source.problem
    elif source.damaged:
        yield f"{source.uri}: {source.damaged} of its parts are damaged"
    yield from source.notes


def _root(summary: Summary) -> Path:
    return Path(summary.sources[0].folder).parent
