"""What is said of a run and of each of its sources."""

from __future__ import annotations

from msgspec import Struct

from configs.errors import SourceError
from stream.figures import StageFigures
from stream.job import Job

_DAMAGED = 4


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
    before: bool = False
    """An earlier run has done all of it, and this one nothing."""

    @property
    def state(self) -> str:
        """done, damaged, failed or stopped, as in the ledger."""
        if self.problem or self.damaged:
            return "failed" if self.unusable else "damaged"
        return "done" if self.complete else "stopped"

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
    job: Job | None
    """What was made of what; None of a source that cannot be read again."""


class Summary(Struct, frozen=True):
    """How the whole run went."""

    schema: str
    sources: list[SourceSummary]
    frames: int
    people: int
    done: int
    """Frames of the sources that this run worked on; the others were finished by earlier runs."""
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
        """0; 3 where no source could be used, 4 where one could not, or was damaged: of a run that ended by itself."""
        if all(source.unusable for source in self.sources):
            return SourceError.exit_code
        return _DAMAGED if any(source.problem or source.damaged for source in self.sources) else 0
