"""The formats of sources that have ended, written beside the run that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from configs.errors import OutputError, PosestreamError
from configs.schema import FormatName
from engines.ops.skeleton import Skeleton
from stream.export.clip import RECORDS, Clip, open_run
from stream.export.formats import FORMATS
from stream.records import Record


class Exports:
    """Writes the formats of one source after the other, in a thread of its own."""

    def __init__(self, formats: Sequence[FormatName], skeleton: Skeleton, stopped: Callable[[], bool]) -> None:
        """Take note of what is to be written; once `stopped()`, what is not finished is given up."""
        self._formats = [FORMATS[name] for name in formats if name != "jsonl"]
        self._skeleton, self._stopped = skeleton, stopped
        self._thread = ThreadPoolExecutor(1)
        self._begun: dict[Path, Future[PosestreamError | None]] = {}

    def done(self, folder: Path) -> bool:
        """Whether the formats in `folder` are written, or have failed; the first question begins the work."""
        if not self._formats or not (folder / RECORDS).exists():
            return True
        if folder not in self._begun:
            self._begun[folder] = self._thread.submit(self._write, folder)
        return self._begun[folder].done()

    def wait(self, folder: Path) -> PosestreamError | None:
        """Why not all could be written, once they are done; None: they are."""
        return None if self.done(folder) and folder not in self._begun else self._begun[folder].result()

    def _write(self, folder: Path) -> PosestreamError | None:
        try:
            clip = open_run(folder, self._skeleton)
            for each in self._formats:
                each.export(replace(clip, read=lambda: self._until_stopped(clip)), folder, overwrite=True)
        except PosestreamError as error:
            return error
        return None

    def _until_stopped(self, clip: Clip) -> Iterator[Record]:
        for record in clip:
            if self._stopped():
                names = ",".join(each.name for each in self._formats)
                folder = Path(clip.name).parent
                raise OutputError(
                    f"the formats of {folder} were not finished; python -m stream.export {folder} --format {names} "
                    "--overwrite makes up for it"
                )
            yield record
