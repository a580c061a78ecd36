"""OpenVINO's models on disk, a folder for each network: kept whole, and those used longest ago go."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_SCRATCH: Final = "scratch-"
_SCRATCH_S: Final = 3600.0
"""A folder under way that is older was left behind by a process that died: to write one takes seconds."""


def read(core: Any, folder: Path, names: Iterable[str]) -> dict[str, Any] | None:
    """Models by name, or None where they are not in the folder; a damaged folder is removed."""
    if not folder.is_dir():
        return None
    try:
        found = {name: core.read_model(folder / f"{name}.xml") for name in names}
    except RuntimeError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    with contextlib.suppress(OSError):  # a folder that can only be read
        (folder / f"{next(iter(found))}.xml").touch()
    return found


def keep(openvino: ModuleType, models: Mapping[str, Any], folder: Path, bytes_max: int = 2 << 30) -> None:
    """Write models into a folder, all or nothing, and remove those used longest ago above a size in all.

    Processes that start together each write their own, and the first to be done stays.

    Raises:
        OSError, RuntimeError: they cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder.parent))
    try:
        for name, model in models.items():
            openvino.save_model(model, scratch / f"{name}.xml", compress_to_fp16=False)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        _evict(folder, bytes_max)


def _evict(newest: Path, bytes_max: int) -> None:
    total = 0
    for used_s, size, folder in sorted(map(_used, newest.parent.iterdir()), reverse=True):
        under_way = folder.name.startswith(_SCRATCH) and time.time() - used_s < _SCRATCH_S
        total += size
        left = folder.name.startswith((_SCRATCH, "tmp")) and not under_way
        if left or (total > bytes_max and not under_way and folder != newest):
            shutil.rmtree(folder, ignore_errors=True)


def _used(folder: Path) -> tuple[float, int, Path]:
    """When a folder's files were last used, in seconds since the Unix epoch; their size in bytes; the folder."""
    facts = [folder.stat()]
    with contextlib.suppress(OSError):  # another process may be removing it
        facts += [path.stat() for path in folder.iterdir()]
    return max(each.st_mtime for each in facts), sum(each.st_size for each in facts[1:]), folder
