"""The driver over runners that are threads of this process: a cluster without Ray."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from cluster_batch import COUNTS, FACTORY, outputs, settings
from msgspec import structs

from configs.errors import PosestreamError
from configs.schema import Settings
from stream.distributed.driver import Driver
from stream.distributed.fleet import Came, Did, Event, Looked, Lost
from stream.distributed.runner import Runner
from stream.distributed.share_out import shared_out
from stream.distributed.site import shared_of, site
from stream.distributed.tasks import Site, to_bytes
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.sources.find import find
from stream.summary import SourceSummary


class Threads:
    """Two runners, each with threads for its task, looks and stops."""

    def __init__(self, wanted: Settings, shared: bytes) -> None:
        self._settings, self._shared = wanted, shared
        self._events: queue.Queue[Event] = queue.Queue()
        self._runners: dict[int, tuple[Runner, ThreadPoolExecutor]] = {}
        self.most = self._count = 0
        self.under_way = set[int]()

    def room(self) -> int:
        return 2

    def add(self) -> int:
        self._count += 1
        self._runners[self._count] = Runner(self._settings.model_dump_json(), FACTORY), ThreadPoolExecutor(3)
        self._call(self._count, lambda runner: runner.site(self._shared), Came)
        return self._count

    def work(self, runner: int, task: bytes) -> None:
        self.under_way.add(runner)
        self.most = max(self.most, len(self.under_way))
        self._call(runner, lambda each: each.work(task), Did)

    def look(self, runner: int) -> None:
        self._call(runner, lambda each: each.look(), Looked)

    def stop(self, runner: int) -> None:
        self._runners[runner][0].stop()

    def drop(self, runner: int) -> None:
        self._runners.pop(runner)[0].stop()

    def lose(self) -> None:
        """Let the first runner that works vanish; its task goes on for a moment, as behind a broken network."""
        runner = min(self.under_way)
        self.under_way.discard(runner)
        self.drop(runner)
        self._events.put(Lost(runner, "it is gone"))

    def events(self, wait_s: float) -> Iterator[Event]:
        try:
            event = self._events.get(timeout=wait_s)
        except queue.Empty:
            return
        if isinstance(event, Lost) or event.runner in self._runners:
            yield event

    def close(self) -> None:
        for runner, threads in self._runners.values():
            runner.stop()
            threads.shutdown()

    def _call(self, runner: int, ask: Callable[[Runner], bytes], kind: Callable[[int, bytes], Event]) -> None:
        def tell(answer: Future[bytes]) -> None:
            if kind is Did:
                self.under_way.discard(runner)
            self._events.put(kind(runner, answer.result()))

        if runner in self._runners:
            each, threads = self._runners[runner]
            threads.submit(ask, each).add_done_callback(tell)


def run(
    output: str,
    *more: str,
    source: str = "clips",
    watch: Callable[[Threads], None] = lambda _: None,
    here: Callable[[Site], Site] = lambda here: here,
) -> tuple[list[SourceSummary], Progress, Threads]:
    wanted = settings(output, *more, source=source)
    progress, ended = Progress(), list[SourceSummary]()
    with output_folders(find(wanted.source.uris), wanted) as specs:
        shared = shared_of(specs)
        fleet = Threads(wanted, to_bytes(shared))
        try:
            driver = Driver(fleet, wanted, here(site(wanted.engine, shared)), progress, ended.append)
            driver.run(shared_out(specs, 2, wanted), lambda: 0, lambda _: watch(fleet))
        finally:
            fleet.close()
    return ended, progress, fleet


def test_a_lost_runner_s_files_go_on_elsewhere_and_its_last_writes_harm_nobody(whole: dict[str, bytes]) -> None:
    lost: list[bool] = []

    def watch(fleet: Threads) -> None:
        if not lost and any(Path("out").glob("*/.segments/commit")):
            lost.append(True)
            fleet.lose()

    ended, progress, fleet = run("out", "cluster.split=false", watch=watch)
    assert lost
    assert outputs("out") == whole
    assert sorted((source.source, source.frames) for source in ended) == [(str(n), c) for n, c in enumerate(COUNTS)]
    assert fleet.most == 2
    assert progress.frames() == sum(COUNTS)


def test_one_recording_in_parts_is_that_of_one_machine(whole: dict[str, bytes]) -> None:
    ended, progress, _ = run("out", source="clips/0.mp4")
    assert progress.notes[0] == "0: its frames are shared out in 6 parts"
    assert outputs("out") == {name[2:]: data for name, data in whole.items() if name.startswith("0/")}
    assert [(source.frames, source.complete) for source in ended] == [(COUNTS[0], True)]


def test_damage_that_only_decoding_shows_is_done_whole(whole: dict[str, bytes]) -> None:
    from cluster_batch import run_alone
    from media import spoil

    spoil(Path("clips/0.mp4"), Path("bad.mkv"), 9)
    alone = run_alone("alone", source="bad.mkv")
    ended, progress, _ = run("out", source="bad.mkv")
    assert any(note.startswith("bad is done whole: ") for note in progress.notes)
    assert outputs("out") == outputs("alone")
    assert (ended[0].damaged, ended[0].frames) == (alone.sources[0].damaged, alone.frames)


def test_a_node_of_another_version_ends_the_run_before_anything_is_written(whole: dict[str, bytes]) -> None:
    with pytest.raises(PosestreamError, match=r" has posestream .*, this machine 9\.9; install the same on both$"):
        run("out", here=lambda here: structs.replace(here, version="9.9"))
    assert not Path("out").exists()


def test_files_that_cannot_be_read_harm_no_other(whole: dict[str, bytes]) -> None:
    Path("clips/4.mp4").write_text("no video\n")
    ended, _, _ = run("out", "cluster.split=false")
    assert {source.source: source.state for source in ended} == {**{str(n): "done" for n in range(4)}, "4": "failed"}
    assert outputs("out") == whole
