"""How a run over recordings goes on after any interruption: a stage that died, a killed run, a power cut.

All begin again at each recording's last commit, see `stream.unfinished`; what is finished is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import structs

from configs.schema import Settings
from stream.job import Job, difference, is_recording, job_of
from stream.messages import GivenUp, SourceSpec
from stream.poison import Poison
from stream.runtime.progress import Progress
from stream.runtime.recovers import MAY_PASS, Death
from stream.runtime.reports import Reached
from stream.runtime.restarts import Restarts
from stream.unfinished import Commit, clear, left_in, read_commit, write_commit, write_job

_SAID_MAX = 20


class Recovery:
    """What is done of the recordings of a run."""

    def __init__(self, settings: Settings, specs: Sequence[SourceSpec], progress: Progress) -> None:
        """See what earlier runs have left in the sources' folders.

        Raises:
            OutputError: what they left cannot be used.
        """
        self._settings, self._specs, self._progress = settings, specs, progress
        recordings = () if settings.dump.file else (spec for spec in specs if spec.folder and is_recording(spec))
        self._recordings = {spec.name: spec for spec in recordings}  # a dump holds each message once
        self._jobs: dict[str, Job] = {}
        """Of the recordings whose folders say what is being made there."""
        self._commits: dict[str, Commit] = {}
        self._restarts, self._granted = Restarts(), False
        self._poison = Poison()
        self.finished: dict[str, bytes] = {}
        """Recording that is finished -> JSON of its summary."""
        for spec in () if settings.output.overwrite else self._recordings.values():
            self._look(spec)

    def _look(self, spec: SourceSpec) -> None:
        left = left_in(Path(spec.folder))
        if left.job is None or difference(left.job, job := job_of(spec, self._settings)):
            return
        if left.finished:
            self.finished[spec.name] = left.summary
            return
        self._jobs[spec.name] = job
        if (commit := read_commit(Path(spec.folder))) is not None:
            self._commits[spec.name] = commit

    def remaining(self) -> list[SourceSpec]:
        """The sources that are not done with, each continued from its last commit."""
        specs = [spec for spec in self._specs if spec.name not in self.finished | self._progress.ended]
        return [self._continued(spec) for spec in specs]

    def announce(self) -> None:
        """Let the progress know what is done already, and say where the run goes on."""
        self.announce_finished()
        for name, commit in self._commits.items():
            self._progress.go_on(name, commit.cut, commit.frames, commit.people, commit.seconds)
            of = f" of {commit.of}" if commit.of else ""
            self._progress.notes.append(f"continues {name} at frame {commit.cut.index}{of}")

    def announce_finished(self) -> None:
        """Say what is finished."""
        done = [spec for spec in self._specs if spec.name in self.finished]
        notes = [f"{spec.name} is finished in {spec.folder}: nothing is to be done" for spec in done]
        if len(notes) > _SAID_MAX:
            notes = [f"{len(done)} of {len(self._specs)} sources are finished: nothing is to be done with them"]
        self._progress.notes += notes

    def keep(self, reached: Reached) -> None:
        """Commit a cut.

        Raises:
            OutputError: the disk refuses.
        """
        spec = self._recordings.get(reached.cut.source)
        if spec is None:
            return
        self._restarts.succeed()
        self._poison.succeed()
        self._begin(spec)
        name, begin = spec.name, self._progress.began.get(spec.name)
        counts, seconds = self._progress.counts_at_cut(name), self._progress.seconds(name)
        commit = Commit(reached.cut, counts.frames, counts.people, seconds, begin.frames if begin else None)
        write_commit(Path(spec.folder), commit)
        self._commits[name] = commit

    def follow(self) -> None:
        """Say in the folders of sources that have begun what is being made there.

        Raises:
            OutputError: the disk refuses.
        """
        for name in self._progress.began:
            if name in self._recordings:
                self._begin(self._recordings[name])

    def close(self, name: str) -> None:
        """Remove what another run could go on from, if a source has come to its end."""
        ended, spec = self._progress.ended.get(name), self._recordings.get(name)
        if ended is not None and spec is not None and not ended.end.stopped:
            clear(Path(spec.folder))

    def grants(self, death: Death) -> bool:
        """Whether all stages are to begin again after a failure: where that may help and all can be read again."""
        failed = death.failed
        can_go_on = len(self._recordings) == len(self._specs) and self._settings.runtime.transport == "ipc"
        if not can_go_on or failed.exit_code not in MAY_PASS or self._progress.started_s is None:
            return False
        count = self._restarts.take()
        self._granted = bool(count)
        if count:
            self._progress.notes.append(f"{failed.text}; all stages begin again at the last commit ({count})")
            if found := self._poison.take(death):
                self._restarts = Restarts()  # what killed the stages is out of their way
                self._progress.notes.append(found)
        return self._granted

    def begin_again(self) -> bool:
        """Whether the failure that ended the run was granted; then the progress knows."""
        granted, self._granted = self._granted, False
        if granted:
            self._progress.begin_again()
        return granted

    def job(self, name: str) -> Job | None:
        """What is made of a recording; None of any other source."""
        return self._jobs.get(name)

    def _begin(self, spec: SourceSpec) -> None:
        if spec.name not in self._jobs:
            job = job_of(spec, self._settings)
            write_job(Path(spec.folder), job)
            self._jobs[spec.name] = job

    def _continued(self, spec: SourceSpec) -> SourceSpec:
        name, poison = spec.name, self._poison
        problem = poison.unreadable.get(name)
        return structs.replace(
            spec,
            states=self._commits[name].cut.states if name in self._commits else {},
            poison=tuple(poison.frames.get(name, ())),
            alone=name in poison.alone,
            given_up=GivenUp(problem, self._progress.began.get(name)) if problem else None,
        )
