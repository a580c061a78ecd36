"""A batch on a Ray cluster: runners on its nodes do the tasks, this process hands them out and sums up.

The one door to Ray. Nothing of ours is pickled: the actors' class goes by its name, what they say and hear is bytes.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, PosestreamError
from configs.schema import Settings
from stream.distributed.driver import Driver
from stream.distributed.fleet import Came, Did, Event, Looked, Lost
from stream.distributed.runner import Runner
from stream.distributed.share_out import placed, shared_out
from stream.distributed.site import shared_of, site
from stream.distributed.tasks import to_bytes
from stream.ledger import ledger_of
from stream.messages import SourceSpec
from stream.pipeline import PIPELINE
from stream.recovery import Recovery
from stream.reporter import Reporter
from stream.runtime.progress import Progress
from stream.summary import Summary

_RAY_LEAST = (2, 54)
_CALLS = 3  # of a runner at once: its task, a look, a stop
_SAID_MAX = 300
_ANSWERS_S = 10.0
_START = "`RAY_AUTH_MODE=token ray start --head --include-dashboard=false` starts one on this machine"


def launch_on_cluster(
    settings: Settings,
    specs: Sequence[SourceSpec],
    stops: Callable[[], int],
    watch: Callable[[Progress], None],
    factory: str = PIPELINE,
) -> tuple[Summary, PosestreamError | None]:
    """As `stream.launch.launch`, over the cluster that the settings name; all nodes must see sources and folders.

    Raises:
        ConfigError: there is no such cluster.
    """
    specs = [placed(spec) for spec in specs]
    if settings.output.overwrite:
        for spec in specs:
            (Path(spec.folder) / "run.json").unlink(missing_ok=True)  # else a runner would take it for its own
    progress = Progress()
    recovery = Recovery(settings, specs, progress)
    recovery.announce_finished()
    watch(progress)
    reporter = Reporter(settings, specs, progress, recovery, lambda: stops() > 0, ledger_of(specs))
    failure: PosestreamError | None = None
    if remaining := recovery.remaining():
        shared = shared_of(remaining)
        with connected(settings) as ray:
            fleet = RayFleet(ray, settings, factory, to_bytes(shared))
            here = site(settings.engine, shared)
            try:
                driver = Driver(fleet, settings, here, progress, reporter.take)
                runners = settings.cluster.runners or max(1, fleet.room())
                driver.run(shared_out(remaining, runners, settings), stops, watch)
            except PosestreamError as error:
                failure = error
            finally:
                fleet.close()
    reporter.write_all()
    return reporter.summary(stops() > 0, failure), failure or reporter.problem


@contextmanager
def connected(settings: Settings) -> Iterator[Any]:
    """Be a driver of the cluster; Ray's module.

    Raises:
        ConfigError: there is none at that address, it is too old, or its token is another one.
    """
    address = settings.cluster.address or ""
    if address != "auto":
        _look_for(address)
    if settings.cluster.authentication == "token":
        os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads it when it is loaded
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    if tuple(int(part) for part in ray.__version__.split(".")[:2]) < _RAY_LEAST:
        raise ConfigError(f"Ray {ray.__version__} is installed; --ray needs {'.'.join(map(str, _RAY_LEAST))} or newer")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=True)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ConfigError(f"--ray {address}: no cluster answers: {_line(error)}; {_START}") from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray takes SIGTERM for itself
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # Ray prints there, which is the summary's alone
        try:
            yield ray
        finally:
            ray.shutdown()


def _look_for(address: str) -> None:
    """Find out at once whether anybody answers there: Ray tries for minutes."""
    host, _, port = address.rpartition(":")
    try:
        if not host:
            raise ValueError("it should be auto or HOST:PORT")
        socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"--ray {address}: no cluster answers: {error}; {_START}") from None


class RayFleet:
    """Runners as Ray's actors."""

    def __init__(self, ray: Any, settings: Settings, factory: str, shared: bytes, runner: type = Runner) -> None:
        """Take note of what each runner is to be given; nothing is started yet.

        Args:
            ray: the module, connected.
            settings: of the run.
            factory: where stages come from, as module:class.
            shared: what each runner is to look for when it comes.
            runner: class of the actors.
        """
        self._ray = ray
        cluster = settings.cluster
        gpus = cluster.gpus
        if gpus is None:
            gpus = float(settings.engine.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0)
        self._needs = {"CPU": cluster.cpus, "GPU": gpus}
        self._actor = ray.remote(runner).options(
            num_cpus=cluster.cpus,
            num_gpus=gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=_CALLS,
            scheduling_strategy="SPREAD",
        )
        self._arguments = settings.model_dump_json(), factory
        self._shared = shared
        self._actors: dict[int, Any] = {}
        self._pending: dict[Any, tuple[type[Came | Looked | Did], int]] = {}
        """What is to be heard of, as Ray refers to it -> which event of which runner that will be."""
        self._count = 0

    def room(self) -> int:
        rooms = [
            min(int(node["Resources"].get(name, 0) / need) for name, need in self._needs.items() if need)
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        return sum(rooms)

    def add(self) -> int:
        self._count += 1
        actor = self._actors[self._count] = self._actor.remote(*self._arguments)
        self._pending[actor.site.remote(self._shared)] = Came, self._count
        return self._count

    def work(self, runner: int, task: bytes) -> None:
        self._pending[self._actors[runner].work.remote(task)] = Did, runner

    def look(self, runner: int) -> None:
        self._pending[self._actors[runner].look.remote()] = Looked, runner

    def stop(self, runner: int) -> None:
        self._actors[runner].stop.remote()

    def drop(self, runner: int) -> None:
        with suppress(self._ray.exceptions.RayError):  # it may be gone
            self._ray.kill(self._actors.pop(runner))
        self._pending = {ref: event for ref, event in self._pending.items() if event[1] != runner}

    def events(self, wait_s: float) -> Iterator[Event]:
        waiting = list(self._pending)
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=wait_s) if waiting else ([], [])
        if ready:
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        for ref in ready:
            if ref in self._pending:
                kind, runner = self._pending.pop(ref)
                yield self._event(ref, kind, runner)

    def _event(self, ref: Any, kind: type[Came | Looked | Did], runner: int) -> Event:
        try:
            return kind(runner, self._ray.get(ref))
        except self._ray.exceptions.RayError as error:
            self.drop(runner)
            return Lost(runner, _line(error))

    def close(self) -> None:
        """Do without all runners."""
        for runner in list(self._actors):
            self.drop(runner)


def _line(error: Exception) -> str:
    """The one line of what Ray says that tells the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith(("The actor is dead because", "ray.exceptions"))]
    return (causes or lines or [type(error).__name__])[0].partition(" Some common causes")[0][:_SAID_MAX]
