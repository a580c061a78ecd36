"""Sums up the sources of a run as they end, and writes their run.json."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from configs.errors import OutputError, PosestreamError
from configs.schema import Settings
from stream.export.after_run import AfterRun
from stream.export.clip import RECORDS
from stream.export.formats import FORMATS
from stream.ledger import enter
from stream.messages import SourceSpec
from stream.recovery import Recovery
from stream.runtime.progress import Delivered, Progress
from stream.runtime.recovers import StageError
from stream.sinks.output import finish, part_of, writing
from stream.summary import Run, SourceFile, SourceSummary, Summary
from stream.written import delivered_in

_LIBRARIES = ("posestream", "torch", "numpy", "opencv-python", "av", "pyzmq", "filterpy")


class Reporter:
    """Sums up each source as it ends, and the run."""

    def __init__(
        self,
        settings: Settings,
        specs: Sequence[SourceSpec],
        progress: Progress,
        recovery: Recovery,
        stopped: Callable[[], bool],
        ledger: Path | None = None,
    ) -> None:
        """Take note of the sources, before anything of them is written.

        Args:
            settings: of the run.
            specs: its sources, with folders.
            progress: where it stands.
            recovery: what is done of its recordings.
            stopped: whether it is to end.
            ledger: the file that each source is entered into; None: there is none.
        """
        self._settings, self._progress, self._recovery = settings, progress, recovery
        self._written = {
            name: structs.replace(msgspec.json.decode(summary, type=SourceSummary), before=True)
            for name, summary in recovery.finished.items()
        }
        self._after = AfterRun(settings, stopped)
        self._specs: list[SourceSpec] = []
        self._before: dict[str, dict[str, tuple[int, int]]] = {}
        self._rows_before: dict[str, tuple[int, int] | None] = {}
        self.add(specs)
        self._ledger = ledger
        self.problem: PosestreamError | None = None
        """Why a run.json or a format could not be written, of the first such."""

    def add(self, specs: Iterable[SourceSpec]) -> None:
        """Take note of sources, before anything of them is written."""
        for spec in specs:
            self._specs.append(spec)
            self._before[spec.name] = _outputs(spec)
            self._rows_before[spec.name] = _written(part_of(_records(spec)))

    def delivered(self, source: str) -> Delivered | None:
        """What a live source's records of this run hold; None where it has none. Only while nobody writes them.

        Records that were finished are opened again, for their source has not passed the whole pipeline.
        """
        spec = next(spec for spec in self._specs if spec.name == source)
        path = _records(spec)
        if spec.live and _written(path) not in (None, self._before[source].get(path.name)):
            path.replace(part_of(path))
        return self._delivered(spec)

    def _delivered(self, spec: SourceSpec) -> Delivered | None:
        path = _records(spec)
        before = {path: self._before[spec.name].get(path.name), part_of(path): self._rows_before[spec.name]}
        for each, file in before.items() if spec.live else ():
            if _written(each) not in (None, file):
                return delivered_in(each)
        return None

    def write_ended(self) -> None:
        """Write the run.json of each source that has ended since."""
        for spec in self._specs:
            ended = spec.name in self._progress.ended and spec.name not in self._written
            if ended and (not self._recorded(spec) or self._after.done(spec)):
                self._write(spec)

    def write_all(self) -> None:
        """Write the run.json of the sources that have not ended either."""
        for spec in self._specs:
            if spec.name not in self._written:
                self._write(spec)

    def summary(self, interrupted: bool, failure: PosestreamError | None) -> Summary:
        """How the whole run went."""
        progress = self._progress
        seconds = (progress.finished_s or 0) - progress.started_s if progress.started_s else 0.0
        sources = [self._written[spec.name] for spec in self._specs]
        frames = sum(source.frames for source in sources)
        done = sum(source.frames for source in sources if not source.before)
        return Summary(
            schema="summary.v1",
            sources=sources,
            frames=frames,
            people=sum(source.people for source in sources),
            done=done,
            seconds=round(seconds, 3),
            fps=_rate(done, seconds),
            interrupted=interrupted,
            failure=f"{failure.group}: {failure}" if isinstance(failure, StageError) else str(failure or ""),
            stages=progress.stages(),
            memory_bytes={group: beat.memory_bytes for group, beat in progress.beats.items()},
            sent_bytes={group: beat.sent_bytes for group, beat in progress.beats.items()},
            run=self._run(),
        )

    def _write(self, spec: SourceSpec) -> None:
        if self._recorded(spec):
            self.problem = self.problem or self._after.wait(spec)
        source = self._written[spec.name] = self._source(spec, self._before[spec.name])
        try:
            if source.outputs:
                self._write_file(spec, source)
            self._recovery.close(spec.name)
            self._enter(source)
        except OutputError as error:
            self.problem = self.problem or error

    def take(self, source: SourceSummary) -> None:
        """Take note of a source that was done with elsewhere, its run.json written."""
        self._written[source.source] = source
        try:
            self._enter(source)
        except OutputError as error:
            self.problem = self.problem or error

    def _enter(self, source: SourceSummary) -> None:
        if self._ledger:
            enter(self._ledger, source)

    def _write_file(self, spec: SourceSpec, source: SourceSummary) -> None:
        path = Path(spec.folder) / "run.json"
        file = SourceFile("run.v2", source, self._run(), self._recovery.job(spec.name))
        try:
            with writing(path):
                part_of(path).write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
            finish(path)
        except OutputError:
            part_of(path).unlink(missing_ok=True)
            raise

    def _recorded(self, spec: SourceSpec) -> bool:
        """Whether this run has written records of the source."""
        return _outputs(spec).get(RECORDS) != self._before[spec.name].get(RECORDS)

    def _source(self, spec: SourceSpec, before: Mapping[str, tuple[int, int]]) -> SourceSummary:
        ended, counts = self._progress.ended.get(spec.name), self._progress.counts(spec.name)
        if ended is None and (found := self._delivered(spec)):
            counts.frames, counts.people = found.frames, found.people
        seconds = self._progress.seconds(spec.name)
        return SourceSummary(
            source=spec.name,
            uri=spec.label,
            folder=spec.folder,
            outputs=[name for name, file in _outputs(spec).items() if before.get(name) != file],
            frames=counts.frames,
            people=counts.people,
            damaged=ended.end.damaged if ended else 0,
            dropped=self._progress.dropped(spec.name),
            seconds=round(seconds, 3),
            fps=_rate(counts.frames, seconds),
            stages=ended.end.stages if ended else {},
            complete=bool(ended and not ended.end.stopped and not ended.end.problem),
            problem=ended.end.problem if ended else "",
            notes=ended.end.notes if ended else (),
        )

    def _run(self) -> Run:
        versions = {"python": platform.python_version()} | {name: _version(name) for name in _LIBRARIES}
        return Run(self._progress.notes, versions, self._settings.model_dump(mode="json"))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:  # another package may bring the module, as opencv-python-headless
        return "unknown"


def _rate(frames: int, seconds: float) -> float:
    return round(frames / seconds, 2) if seconds else 0.0


def _records(spec: SourceSpec) -> Path:
    return Path(spec.folder) / "keypoints.jsonl"


def _written(path: Path) -> tuple[int, int] | None:
    """Inode and mtime of a file, to recognise one that this run has written; None: there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _outputs(spec: SourceSpec) -> dict[str, tuple[int, int]]:
    """Output files present: name -> what `_written` says of it."""
    folder = Path(spec.folder)
    paths = [*sorted(folder.glob("overlay*.mp4")), *(folder / each.output for each in FORMATS.values())]
    found = {path.name: _written(path) for path in paths}
    return {name: file for name, file in found.items() if file is not None}
