"""One run from sources to outputs, and its summary."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from configs.schema import Settings
from stream.messages import SourceSpec
from stream.outputs import remove_empty
from stream.runtime.metrics import StageFigures
from stream.runtime.reports import Ended
from stream.runtime.supervisor import PIPELINE, Progress, StageError, Supervisor

_LIBRARIES = ("posestream", "torch", "numpy", "opencv-python", "av", "pyzmq", "filterpy")


class SourceSummary(Struct, frozen=True):
    """How one source went."""

    source: str
    uri: str
    folder: str
    outputs: list[str]
    """Files that this run has written, by name."""
    frames: int
    """Frames that reached the outputs."""
    damaged: int
    """Packets or pictures that could not be read."""
    dropped: dict[str, int]
    """Frames lost, by cause."""
    complete: bool
    """False where the run ended before the source did."""
    problem: str
    """Why it could not be read, or not to its end; empty if all went well."""
    notes: tuple[str, ...] = ()
    """What else the user should know, a line each, such as which pictures could not be read."""

    @property
    def unusable(self) -> bool:
        """True where nothing could be had of it."""
        return bool(self.problem) and self.frames == 0 and not self.outputs


class Summary(Struct, frozen=True):
    """How a run went: what run.json holds."""

    schema: str
    sources: list[SourceSummary]
    frames: int
    people: int
    """People in all frames: one person in ten frames counts ten."""
    seconds: float
    """From the first frame that could flow to the last output closed; models load before."""
    fps: float
    interrupted: bool
    failure: str
    """What stage failed and why; empty if none did."""
    notes: list[str]
    """What the stages had to say: which backend was chosen and why, what could not be used."""
    stages: dict[str, StageFigures]
    memory_bytes: dict[str, int]
    """Resident memory of each process at its end."""
    sent_bytes: dict[str, int]
    """What each group sent to the next: descriptions, no pixels."""
    versions: dict[str, str]
    settings: dict[str, object]


def launch(
    settings: Settings,
    specs: Sequence[SourceSpec],
    stops: Callable[[], int],
    watch: Callable[[Progress], None],
) -> tuple[Summary, StageError | None]:
    """Run the pipeline; each source's folder gets its outputs and a run.json.

    A folder in which nothing was written keeps the outputs and the run.json that an older run left there.

    Args:
        settings: of the run.
        specs: the sources, with folders.
        stops: how often the user has asked to stop.
        watch: shown where the run stands.

    Returns:
        The summary and, where a stage failed, its error.
    """
    before = {spec.name: _outputs(spec) for spec in specs}
    supervisor = Supervisor(settings, specs, PIPELINE)
    failure: StageError | None = None
    try:
        supervisor.run(stops, watch)
    except StageError as error:
        failure = error
    progress = supervisor.progress
    sources = [_source(spec, before[spec.name], progress.ended.get(spec.name)) for spec in specs]
    summary = _summary(settings, sources, progress, stops() > 0, failure)
    for source in summary.sources:
        if source.outputs:
            _write(Path(source.folder) / "run.json", structs.replace(summary, sources=[source]))
    remove_empty(specs)
    return summary, failure


def _summary(
    settings: Settings, sources: list[SourceSummary], progress: Progress, stopped: bool, failure: StageError | None
) -> Summary:
    seconds = (progress.finished_s or 0) - progress.started_s if progress.started_s else 0.0
    frames = sum(source.frames for source in sources)
    return Summary(
        schema="run.v1",
        sources=sources,
        frames=frames,
        people=sum(beat.people for beat in progress.beats.values()),
        seconds=round(seconds, 3),
        fps=round(frames / seconds, 2) if seconds else 0.0,
        interrupted=stopped,
        failure=f"{failure.group}: {failure}" if failure else "",
        notes=progress.notes,
        stages=progress.stages(),
        memory_bytes={group: beat.memory_bytes for group, beat in progress.beats.items()},
        sent_bytes={group: beat.sent_bytes for group, beat in progress.beats.items()},
        versions={"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _LIBRARIES},
        settings=settings.model_dump(mode="json"),
    )


def _source(spec: SourceSpec, before: Mapping[str, tuple[int, int]], ended: Ended | None) -> SourceSummary:
    return SourceSummary(
        source=spec.name,
        uri=spec.label,
        folder=spec.folder,
        outputs=[name for name, file in _outputs(spec).items() if before.get(name) != file],
        frames=ended.frames_done if ended else 0,
        damaged=ended.end.damaged if ended else 0,
        dropped={},
        complete=bool(ended and not ended.end.stopped and not ended.end.problem),
        problem=ended.end.problem if ended else "",
        notes=ended.end.notes if ended else (),
    )


def _outputs(spec: SourceSpec) -> dict[str, tuple[int, int]]:
    """Give the output files that there are, with what tells one from another that took its name."""
    paths = [Path(spec.folder) / name for name in ("overlay.mp4", "keypoints.jsonl")]
    stats = {path.name: path.stat() for path in paths if path.exists()}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in stats.items()}


def _write(path: Path, summary: Summary) -> None:
    part = path.with_suffix(".json.part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    os.replace(part, path)
