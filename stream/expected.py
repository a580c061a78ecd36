"""How many frames a run will have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from stream.messages import SourceSpec
from stream.runtime.progress import Progress


class Expected:
    """Frames of all sources: of those that were opened by what they say, of the others by the size of their files."""

    def __init__(self, specs: Sequence[SourceSpec]) -> None:
        """Look up the sizes of the sources' files."""
        self._bytes = {spec.name: bytes_of(spec) for spec in specs}
        self._live = any(spec.live for spec in specs)

    def frames(self, progress: Progress) -> int | None:
        """Frames of the whole run; None: nobody knows."""
        known: dict[str, int] = {}
        for name, begin in progress.began.items():
            frames = progress.counts(name).frames if name in progress.ended else begin.frames
            if frames is not None:
                known[name] = frames
        if self._live or not known:
            return None
        left = [size for name, size in self._bytes.items() if name not in known and name not in progress.ended]
        seen_bytes = sum(self._bytes.get(name, 0) for name in known)
        rest = sum(left) / seen_bytes if seen_bytes else len(left) / len(known)
        return round(sum(known.values()) * (1 + rest))


def bytes_of(spec: SourceSpec) -> int:
    """Size of a file, or of the files in a folder; 0 where there is none."""
    with suppress(OSError):
        if spec.kind == "images":
            return sum(entry.stat().st_size for entry in os.scandir(spec.path))
        return os.stat(spec.path).st_size if spec.uri else 0
    return 0
