"""What a run does with sources that have ended, beside the others that go on: offline smoothing, formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from configs.errors import OutputError, PosestreamError
from configs.schema import Settings
from engines.ops.skeleton import Skeleton
from stream.export.clip import RECORDS, Clip, open_run
from stream.export.formats import FORMATS
from stream.export.jsonl import JSONL
from stream.messages import SourceSpec
from stream.records import Record


class AfterRun:
    """Finishes the outputs of one source after the other, in a thread of its own."""

    def __init__(self, settings: Settings, stopped: Callable[[], bool]) -> None:
        """Take note of what is to be done; once `stopped()`, what is not finished is given up."""
        self._settings, self._stopped = settings, stopped
        self._formats = [FORMATS[name] for name in settings.records.formats if name != "jsonl"]
        self._offline = settings.smooth.method == "offline"
        self._thread = ThreadPoolExecutor(1)
        self._begun: dict[str, Future[PosestreamError | None]] = {}

    def done(self, spec: SourceSpec) -> bool:
        """Whether a source's outputs are finished, or could not be; the first question begins the work."""
        if not (self._formats or self._offline) or not (Path(spec.folder) / RECORDS).exists():
            return True
        if spec.folder not in self._begun:
            self._begun[spec.folder] = self._thread.submit(self._finish, spec)
        return self._begun[spec.folder].done()

    def wait(self, spec: SourceSpec) -> PosestreamError | None:
        """Why not all could be written, once that is done; None: it is."""
        if self.done(spec) and spec.folder not in self._begun:
            return None
        return self._begun[spec.folder].result()

    def _finish(self, spec: SourceSpec) -> PosestreamError | None:
        folder = Path(spec.folder)
        try:
            if self._offline:
                self._smooth(spec)
            clip = open_run(folder, Skeleton(self._settings.skeleton))
            for each in self._formats:
                each.export(self._stoppable(clip, "export", "stream.export"), folder, overwrite=True)
        except PosestreamError as error:
            return error
        return None

    def _smooth(self, spec: SourceSpec) -> None:
        from stream.redraw import redraw  # loads FFmpeg and OpenCV, which the supervisor needs for nothing else
        from stream.smooth_offline import smoothed

        folder = Path(spec.folder)
        clip = self._stoppable(
            open_run(folder, Skeleton(self._settings.skeleton)), "smoothing", "stream.smooth_offline"
        )
        smooth = smoothed(clip, self._settings.smooth)
        JSONL.export(smooth, folder, overwrite=True)
        if self._settings.video.save and redraw(smooth, spec, self._settings, self._stopped) is None:
            raise _unfinished("smoothing", folder, "stream.smooth_offline")

    def _stoppable(self, clip: Clip, work: str, module: str) -> Clip:
        def read() -> Iterator[Record]:
            for record in clip:
                if self._stopped():
                    raise _unfinished(work, Path(clip.name).parent, module)
                yield record

        return replace(clip, read=read)


def _unfinished(work: str, folder: Path, module: str) -> OutputError:
    return OutputError(f"the {work} of {folder} was not finished; python -m {module} {folder} makes up for it")
