"""Whether the disk has room for what a run is to write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from configs.errors import OutputError
from configs.schema import Settings
from stream.job import is_recording
from stream.messages import SourceSpec
from stream.sinks.output import SEGMENTS

_SURELY = 0.5
"""Share of the sources' bytes that overlays take at least: where that is not free the run would end in vain."""
_PROBABLY = 1.2


def check_space(settings: Settings, specs: Iterable[SourceSpec]) -> list[str]:
    """Lines that warn of disks which may get full.

    An overlay takes about as many bytes as its source; records are small beside it.

    Args:
        settings: say whether overlays are written.
        specs: the sources, with folders; of live ones nobody knows how much they will give.

    Raises:
        OutputError: a disk will surely get full.
    """
    if not settings.video.save:
        return []
    needed: dict[int, int] = {}
    folders: dict[int, str] = {}
    for spec in specs:
        if spec.kind == "file" and spec.folder and is_recording(spec) and os.path.isdir(spec.folder):
            disk = os.stat(spec.folder).st_dev
            folders.setdefault(disk, spec.folder)
            needed[disk] = needed.get(disk, 0) + max(_size(spec.path) - _written(spec.folder), 0)
    notes = []
    for disk, size in needed.items():
        free = shutil.disk_usage(folders[disk]).free
        said = f"overlays take about {size / 1e6:,.3g} MB and {free / 1e6:,.3g} MB are free at {folders[disk]}"
        if free < _SURELY * size:
            raise OutputError(f"{said}; free space, choose another --output or leave overlays out by --no-save")
        if free < _PROBABLY * size:
            notes.append(f"{said}: that may be too little")
    return notes


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # said when it is opened
        return 0


def _written(folder: str) -> int:
    """Bytes that an earlier run has written of the same."""
    return sum(_size(str(path)) for path in (Path(folder) / SEGMENTS).glob("*"))
