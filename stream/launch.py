"""One run from sources to outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from configs.errors import OutputError, PosestreamError
from configs.schema import Settings
from stream.admission import Admission
from stream.ledger import ledger_of
from stream.messages import SourceSpec
from stream.pipeline import PIPELINE
from stream.recovery import Recovery
from stream.reporter import Reporter
from stream.runtime.progress import Progress
from stream.runtime.recovers import StageError
from stream.runtime.supervisor import Supervisor
from stream.space import check_space
from stream.summary import Summary


def launch(
    settings: Settings,
    specs: Sequence[SourceSpec],
    stops: Callable[[], int],
    watch: Callable[[Progress], None],
    factory: str = PIPELINE,
    alone: bool = True,
) -> tuple[Summary, PosestreamError | None]:
    """Run the pipeline; each source's folder gets its outputs and, as soon as the source has ended, a run.json.

    What an earlier run has left undone of a recording is continued, what it has finished is left alone; where stages
    die, all begin again at the last commit. A folder in which nothing was written keeps the outputs and the run.json
    that an older run left there.

    Args:
        settings: of the run.
        specs: the sources, with folders.
        stops: how often the user has asked to stop.
        watch: shown where the run stands, ten times a second.
        factory: where the stages come from, as module:class.
        alone: False: it is a part of a larger run, which keeps the ledger and judges what cannot be read.

    Raises:
        SourceError: no source can be read; found out before a model is loaded, or downloaded.
        OutputError: there is no room for what is to be written.

    Returns:
        The summary and, where a stage failed or a run.json or a format could not be written, that error.
    """
    progress = Progress()
    recovery = Recovery(settings, specs, progress)
    remaining = recovery.remaining()
    progress.notes += check_space(settings, remaining)
    if alone and factory == PIPELINE and not recovery.finished:
        from stream.sources.probe import check  # loads FFmpeg

        if not any(spec.kind in ("pipe", "messages") for spec in specs):  # what was read of a pipe is gone
            check(remaining, settings.decode, settings.live)
    recovery.announce()
    watch(progress)
    reporter = Reporter(settings, specs, progress, recovery, lambda: stops() > 0, ledger_of(specs) if alone else None)
    failure = None
    while remaining:
        supervisor = Supervisor(settings, remaining, factory, progress, recovery)
        with ExitStack() as opened:
            admission = Admission(settings, remaining, supervisor) if any(spec.live for spec in remaining) else None
            if admission:
                opened.callback(admission.close)
            failure = _run(supervisor, stops, _Watch(admission, recovery, reporter, watch))
        if failure is None or not recovery.begin_again():
            break
        remaining = recovery.remaining()
    reporter.write_all()
    return reporter.summary(stops() > 0 or progress.ended_by_user, failure), failure or reporter.problem


def _run(supervisor: Supervisor, stops: Callable[[], int], watch: _Watch) -> PosestreamError | None:
    """Why the stages failed, or what is done could not be kept; None: all went well."""
    try:
        supervisor.run(stops, watch.look, watch.reporter.delivered)
    except (StageError, OutputError) as error:
        return error
    return None


class _Watch(NamedTuple):
    """All who look at a run ten times a second."""

    admission: Admission | None
    recovery: Recovery
    reporter: Reporter
    user: Callable[[Progress], None]

    def look(self, progress: Progress) -> None:
        if self.admission:
            self.reporter.add(self.admission.turn(progress))
        self.recovery.follow()
        self.reporter.write_ended()
        self.user(progress)
