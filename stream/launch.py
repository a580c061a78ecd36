"""One run from sources to outputs, and its summary."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec import Struct

from configs.errors import OutputError, PosestreamError, SourceError
from configs.schema import Settings
from stream.admission import Admission
from stream.export.after_run import AfterRun
from stream.export.clip import RECORDS
from stream.export.formats import FORMATS
from stream.messages import SourceSpec, StageFigures
from stream.pipeline import PIPELINE
from stream.runtime.progress import Delivered, Progress
from stream.runtime.supervisor import StageError, Supervisor
from stream.sinks.output import finish, part_of, writing
from stream.written import delivered_in

_DAMAGED = 4
_LIBRARIES = ("posestream", "torch", "numpy", "opencv-python", "av", "pyzmq", "filterpy")


class SourceSummary(Struct, frozen=True):
    """How one source went. All figures are its own."""

    source: str
    uri: str
    folder: str
    outputs: list[str]
    """Files that this run has written, by name."""
    frames: int
    """Frames that reached the outputs."""
    people: int
    """People in all frames: one person in ten frames counts ten."""
    damaged: int
    """Packets or pictures that could not be read."""
    dropped: dict[str, int]
    """Cause -> frames that were lost."""
    seconds: float
    """From its opening to its end; other sources may have run beside it."""
    fps: float
    stages: dict[str, StageFigures]
    """Stage -> its figures for this source; empty where the run ended before the source did."""
    complete: bool
    """False where the run ended before the source did."""
    problem: str
    """Why it could not be read, or not to its end; empty if all went well."""
    notes: tuple[str, ...] = ()
    """What else the user should know, a line each, such as which pictures could not be read."""

    @property
    def unusable(self) -> bool:
        """Whether no frame of it could be read."""
        return bool(self.problem) and self.frames == 0 and not self.outputs


class Run(Struct, frozen=True):
    """What all sources of a run share."""

    notes: list[str]
    """What the stages had to say: which backend was chosen and why, what could not be used."""
    versions: dict[str, str]
    settings: dict[str, object]


class SourceFile(Struct, frozen=True):
    """A source's run.json."""

    schema: str
    source: SourceSummary
    run: Run


class Summary(Struct, frozen=True):
    """How the whole run went."""

    schema: str
    sources: list[SourceSummary]
    frames: int
    people: int
    seconds: float
    """From the first frame that could flow to the last output closed; models load before."""
    fps: float
    interrupted: bool
    failure: str
    """What stage failed and why; empty if none did."""
    stages: dict[str, StageFigures]
    memory_bytes: dict[str, int]
    """Resident memory of each process at its end."""
    sent_bytes: dict[str, int]
    """What each group sent to the next: descriptions, no pixels."""
    run: Run

    @property
    def exit_code(self) -> int:
        """0; 3 where a source was unusable, 4 where one was damaged: of a run that ended by itself."""
        if any(source.unusable for source in self.sources):
            return SourceError.exit_code
        return _DAMAGED if any(source.problem or source.damaged for source in self.sources) else 0


def launch(
    settings: Settings,
    specs: Sequence[SourceSpec],
    stops: Callable[[], int],
    watch: Callable[[Progress], None],
    factory: str = PIPELINE,
) -> tuple[Summary, PosestreamError | None]:
    """Run the pipeline; each source's folder gets its outputs and, as soon as the source has ended, a run.json.

    A folder in which nothing was written keeps the outputs and the run.json that an older run left there.

    Args:
        settings: of the run.
        specs: the sources, with folders.
        stops: how often the user has asked to stop.
        watch: shown where the run stands, ten times a second.
        factory: where the stages come from, as module:class.

    Raises:
        SourceError: no source can be read; found out before a model is loaded, or downloaded.

    Returns:
        The summary and, where a stage failed or a run.json or a format could not be written, that error.
    """
    if factory == PIPELINE:
        from stream.sources.probe import check  # loads FFmpeg

        if not any(spec.kind in ("pipe", "messages") for spec in specs):  # what was read of a pipe is gone
            check(specs, settings.decode, settings.live)
    supervisor = Supervisor(settings, specs, factory)
    reporter = _Reporter(settings, specs, supervisor.progress, lambda: stops() > 0)
    with ExitStack() as opened:
        admission = Admission(settings, specs, supervisor) if any(spec.live for spec in specs) else None
        if admission:
            opened.callback(admission.close)

        def seen(progress: Progress) -> None:
            if admission:
                reporter.add(admission.turn(progress))
            reporter.write_ended()
            watch(progress)

        failure: StageError | None = None
        try:
            supervisor.run(stops, seen, reporter.delivered)
        except StageError as error:
            failure = error
        reporter.write_all()
    interrupted = stops() > 0 or supervisor.progress.ended_by_user
    return reporter.summary(interrupted, failure), failure or reporter.problem


class _Reporter:
    """Sums up each source as it ends, and the run."""

    def __init__(
        self, settings: Settings, specs: Sequence[SourceSpec], progress: Progress, stopped: Callable[[], bool]
    ) -> None:
        self._settings, self._progress = settings, progress
        self._after = AfterRun(settings, stopped)
        self._specs: list[SourceSpec] = []
        self._before: dict[str, dict[str, tuple[int, int]]] = {}
        self._rows_before: dict[str, tuple[int, int] | None] = {}
        self.add(specs)
        self._written: dict[str, SourceSummary] = {}
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

    def summary(self, interrupted: bool, failure: StageError | None) -> Summary:
        """How the whole run went."""
        progress = self._progress
        seconds = (progress.finished_s or 0) - progress.started_s if progress.started_s else 0.0
        sources = [self._written[spec.name] for spec in self._specs]
        frames = sum(source.frames for source in sources)
        return Summary(
            schema="summary.v1",
            sources=sources,
            frames=frames,
            people=sum(source.people for source in sources),
            seconds=round(seconds, 3),
            fps=_rate(frames, seconds),
            interrupted=interrupted,
            failure=f"{failure.group}: {failure}" if failure else "",
            stages=progress.stages(),
            memory_bytes={group: beat.memory_bytes for group, beat in progress.beats.items()},
            sent_bytes={group: beat.sent_bytes for group, beat in progress.beats.items()},
            run=self._run(),
        )

    def _write(self, spec: SourceSpec) -> None:
        if self._recorded(spec):
            self.problem = self.problem or self._after.wait(spec)
        source = self._written[spec.name] = self._source(spec, self._before[spec.name])
        if not source.outputs:
            return
        path = Path(spec.folder) / "run.json"
        file = SourceFile("run.v2", source, self._run())
        try:
            with writing(path):
                part_of(path).write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
            finish(path)
        except OutputError as error:
            part_of(path).unlink(missing_ok=True)
            self.problem = self.problem or error

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
