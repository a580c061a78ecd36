"""What became of each source of a run of several, as a file that many runs add to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from stream.messages import SourceSpec
from stream.sinks.output import writing
from stream.summary import SourceSummary

LEDGER = "ledger.jsonl"


class Entry(Struct, frozen=True):
    """How a source went; of several of the same folder the last counts."""

    at: str
    """When that was, in UTC."""
    source: str
    uri: str
    folder: str
    state: str
    """done, damaged: with parts that could not be read, failed: no frame could be, stopped: not to its end."""
    error: str
    """Why; empty: no error."""
    frames: int
    seconds: float


def ledger_of(specs: Sequence[SourceSpec]) -> Path | None:
    """Where the ledger of a run lies: beside its sources' folders; None of a run of one source."""
    folders = {Path(spec.folder).parent for spec in specs if spec.folder}
    return folders.pop() / LEDGER if len(specs) > 1 and len(folders) == 1 else None


def enter(ledger: Path, summary: SourceSummary) -> None:
    """Add how a source went, as one line in one write: what was there stays, whoever else adds to it.

    A line that a power cut has torn ends where the next one begins.

    Raises:
        OutputError: the disk refuses.
    """
    entry = Entry(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        source=summary.source,
        uri=summary.uri,
        folder=summary.folder,
        state=summary.state,
        error=summary.problem,
        frames=summary.frames,
        seconds=summary.seconds,
    )
    with writing(ledger):
        descriptor = os.open(ledger, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, b"\n" * is_torn + msgspec.json.encode(entry) + b"\n")
        finally:
            os.close(descriptor)
