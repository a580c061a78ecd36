"""Hands out the tasks of a run to the runners of a cluster, and keeps at it until all are done."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from configs.errors import PosestreamError
from configs.schema import Settings
from stream.distributed.dispatch import Dispatch
from stream.distributed.fleet import Came, Did, Event, Fleet, Looked, Lost
from stream.distributed.followed import Followed
from stream.distributed.site import refusal
from stream.distributed.tasks import Failure, Look, Outcome, Site, Task, from_bytes, to_bytes
from stream.runtime.progress import Progress
from stream.runtime.recovers import MAY_PASS
from stream.summary import SourceSummary

_TICK_S = 0.1
_LOOK_S = 1.0
_ROOM_S = 2.0
_STOP_S = 10.0
_NO_ROOM_S = 10.0
"""So long nothing is said of a cluster that has no room."""


_UNBORN_MAX = 5


class TaskError(PosestreamError):
    """A task failed in a way that another attempt would not mend."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.exit_code = failure.exit_code


class Driver:
    """One run over the runners of a fleet."""

    def __init__(
        self,
        fleet: Fleet,
        settings: Settings,
        here: Site,
        progress: Progress,
        ended: Callable[[SourceSummary], None],
    ) -> None:
        """Take note of who is to be driven.

        Args:
            fleet: the runners.
            settings: of the run.
            here: what this machine has: every node must have the same.
            progress: where the run stands.
            ended: told what became of each source.
        """
        self._fleet, self._settings, self._here = fleet, settings, here
        self._progress, self._ended = progress, ended
        self._followed = Followed(progress)
        self._looked_s: dict[int, float] = {}
        """Runner that is there -> when it was last asked to look."""
        self._busy: set[int] = set()
        self._asked: set[int] = set()
        """Runners that were asked for and have not come."""
        self._unborn = 0
        """Runners in a row that were lost before they came."""
        self._stopped_s: float | None = None
        self._room_due_s = 0.0

    def run(self, tasks: Sequence[Task], stops: Callable[[], int], watch: Callable[[Progress], None]) -> None:
        """Let all tasks be done.

        Args:
            tasks: in order.
            stops: how often the user has asked to stop; 1: runners finish their outputs; 2: at once.
            watch: called ten times a second with where the run stands.

        Raises:
            PosestreamError: a task cannot be done, or a node would do it otherwise.
        """
        self._dispatch = Dispatch(tasks)
        self._began_s = time.monotonic()
        while not self._is_over(stops()):
            if self._stopped_s is None:
                self._man()
            self._hand_out()
            for event in self._fleet.events(_TICK_S):
                self._take(event)
            watch(self._progress)
        self._progress.finished_s = time.monotonic()

    def _is_over(self, stops: int) -> bool:
        if not stops:
            return self._dispatch.is_over
        now_s = time.monotonic()
        if self._stopped_s is None:
            self._stopped_s = now_s
            for runner in self._busy:
                self._fleet.stop(runner)
        return stops > 1 or not self._busy or now_s - self._stopped_s > _STOP_S

    def _man(self) -> None:
        """Ask for runners: as many as there is room for and work."""
        now_s = time.monotonic()
        if now_s < self._room_due_s:
            return
        self._room_due_s = now_s + _ROOM_S
        room = self._settings.cluster.runners or self._fleet.room()
        have = len(self._looked_s) + len(self._asked)
        for _ in range(min(room - have, self._dispatch.waiting - (have - len(self._busy)))):
            self._asked.add(self._fleet.add())
        if not self._looked_s and now_s - self._began_s > _NO_ROOM_S:
            self._began_s = float("inf")
            self._progress.notes.append(
                f"no node has room yet for a runner of {self._settings.cluster.cpus:g} CPUs; `ray status` shows what "
                "there is, --set cluster.cpus=N asks for less"
            )

    def _hand_out(self) -> None:
        now_s = time.monotonic()
        for runner, looked_s in self._looked_s.items():
            if runner in self._busy:
                if now_s - looked_s > _LOOK_S:
                    self._looked_s[runner] = now_s
                    self._fleet.look(runner)
            elif self._stopped_s is None and (task := self._dispatch.give(runner)) is not None:
                self._busy.add(runner)
                self._fleet.work(runner, to_bytes(task))

    def _take(self, event: Event) -> None:
        match event:
            case Came():
                self._come(event.runner, from_bytes(event.site, Site))
            case Looked():
                if event.runner in self._busy:
                    self._see(event.runner, from_bytes(event.look, Look))
            case Did():
                self._see_done(event.runner, from_bytes(event.outcome, Outcome))
            case Lost():
                self._lose(event.runner, event.reason)

    def _come(self, runner: int, site: Site) -> None:
        self._asked.discard(runner)
        self._unborn = 0
        if (why := refusal(site, self._here, self._settings)) is not None:
            raise why
        self._looked_s[runner] = 0.0
        self._progress.started_s = self._progress.started_s or time.monotonic()

    def _see(self, runner: int, look: Look) -> None:
        self._dispatch.advance(runner, self._followed.take(f"runner {runner}", look))

    def _see_done(self, runner: int, outcome: Outcome) -> None:
        self._busy.discard(runner)
        if outcome.look is not None:
            self._see(runner, outcome.look)
        self._followed.idle(f"runner {runner}")
        failure = outcome.failure
        if failure is not None and failure.exit_code in MAY_PASS and self._stopped_s is None:
            self._progress.notes.append(self._dispatch.lost(runner, failure.text))
            return
        if note := self._dispatch.done(runner, outcome):
            self._progress.notes.append(note)
        for source in outcome.sources:
            self._ended(source)
        if failure is not None:
            raise TaskError(failure)

    def _hint(self) -> str:
        if self._settings.cluster.authentication == "token":
            return (
                "each node needs RAY_AUTH_MODE=token and the token of this machine; --set cluster.authentication=none "
                "does without"
            )
        return "see Ray's logs on its nodes"

    def _lose(self, runner: int, reason: str) -> None:
        self._unborn = self._unborn + 1 if runner in self._asked else 0
        if self._unborn >= _UNBORN_MAX:
            raise PosestreamError(f"no runner can be started on the cluster: {reason}; {self._hint()}")
        self._asked.discard(runner)
        self._looked_s.pop(runner, None)
        self._followed.idle(f"runner {runner}")
        self._room_due_s = 0.0
        if runner in self._busy:
            self._busy.discard(runner)
            self._progress.notes.append(self._dispatch.lost(runner, reason))
