"""A batch on Ray's own cluster of several nodes on this machine gives what one machine gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from cluster_batch import COUNTS, FACTORY, Watch, outputs, run_alone, settings

from configs.errors import PosestreamError
from stream.outputs import output_folders
from stream.runtime.folder import SocketFolder
from stream.runtime.progress import Progress
from stream.sources.find import find
from stream.summary import Summary

# not importorskip: Ray reads when it is loaded whether it is to ask for tokens
pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is an extra: pip install 'posestream[ray]'"),
    pytest.mark.filterwarnings("default"),  # Ray's own
]

STORE = {"object_store_memory": 80 << 20}


@pytest.fixture
def cluster(whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with room for one runner each, and a head without any, in the folder of the clips."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 40)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **STORE})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, **STORE)
        yield made
    finally:
        made.shutdown()
        SocketFolder().remove()  # takes away what killed runners left


def run(
    cluster: Any,
    output: str,
    *more: str,
    watch: Watch = lambda _: None,
    stops: Callable[[], int] = lambda: 0,
    source: str = "clips",
) -> tuple[Summary, PosestreamError | None]:
    from stream.cluster import launch_on_cluster

    wanted = settings(output, "cluster.authentication=token", *more, source=source, address=cluster.address)
    with output_folders(find(wanted.source.uris), wanted) as specs:
        return launch_on_cluster(wanted, specs, stops, watch, FACTORY)


def runners() -> list[psutil.Process]:
    """The processes of runners."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "".join(child.cmdline()).startswith("ray::Runner")]


def test_outputs_ledger_and_summary_are_those_of_one_machine(cluster: Any, whole: dict[str, bytes]) -> None:
    summary, failure = run(cluster, "out")
    assert failure is None
    assert outputs("out") == whole
    assert (summary.frames, summary.done, summary.exit_code) == (sum(COUNTS), sum(COUNTS), 0)
    assert summary.stages["track"].frames == sum(COUNTS)
    entries = [json.loads(line) for line in Path("out/ledger.jsonl").read_text().splitlines()]
    assert {entry["source"]: (entry["state"], entry["frames"]) for entry in entries} == {
        str(at): ("done", count) for at, count in enumerate(COUNTS)
    }
    again, failure = run(cluster, "out")
    assert failure is None
    assert (again.frames, again.done) == (sum(COUNTS), 0)
    alone = run_alone("out")  # a run on one machine has nothing to do there either
    assert alone.done == 0


def test_a_killed_runner_a_lost_node_and_a_new_one_leave_nothing_out_and_nothing_twice(
    cluster: Any, whole: dict[str, bytes]
) -> None:
    harmed: list[str] = []

    def watch(progress: Progress) -> None:
        if not harmed and any(Path("out").glob("*/.segments/commit")):
            os.kill(runners()[0].pid, signal.SIGKILL)
            harmed.append("runner")
        elif len(harmed) == 1 and len(progress.ended) == 2:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
            cluster.add_node(num_cpus=1, **STORE)
            harmed.append("node")

    summary, failure = run(cluster, "out", watch=watch)
    assert failure is None
    assert harmed == ["runner", "node"]
    assert outputs("out") == whole
    assert summary.frames == sum(COUNTS)
    assert any("goes on elsewhere at the last commit (attempt 2 of 5)" in note for note in summary.run.notes)


def test_an_interrupted_run_leaves_what_is_committed_and_goes_on_from_there(
    cluster: Any, whole: dict[str, bytes]
) -> None:
    seen: list[float] = []

    def watch(progress: Progress) -> None:
        if not seen and any(Path("out").glob("*/.segments/commit")):
            seen.append(time.monotonic())

    summary, _ = run(cluster, "out", watch=watch, stops=lambda: len(seen))
    assert time.monotonic() - seen[0] < 15
    assert summary.interrupted
    assert 0 < summary.frames < sum(COUNTS)
    assert runners() == []
    summary, failure = run(cluster, "out")
    assert failure is None
    assert outputs("out") == whole
    assert any(note.startswith("continues ") for note in summary.run.notes)


def test_one_recording_is_shared_out_by_its_frames_also_when_a_runner_dies(cluster: Any, made: Path) -> None:
    killed: list[int] = []

    def watch(_: Progress) -> None:
        if not killed and any(Path("out").glob(".segments/found/*.psm")):
            killed.append(runners()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    summary, failure = run(cluster, "out", watch=watch, source="clips/2.mp4")
    assert failure is None
    assert killed
    assert outputs("out") == outputs(str(made / "whole" / "2"))
    assert summary.frames == COUNTS[2]
    assert [note for note in summary.run.notes if "goes on" not in note] == [
        "2: its frames are shared out in 7 parts",
        "2: people are found in all its frames; they are tracked now, and the outputs written",
    ]


OPEN_TO_ALL = """
from ray.cluster_utils import Cluster
made = Cluster(
    initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
)
print(made.address, flush=True)
input()
made.shutdown()
"""


def test_nodes_that_let_anybody_in_are_refused(whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", OPEN_TO_ALL]
    pipe = subprocess.PIPE
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a" * 40)
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        try:
            address = other.stdout.readline().strip()
            _, failure = run(SimpleNamespace(address=address), "out")
        finally:
            other.stdin.write("\n")
            other.stdin.close()
            other.wait(30)
    assert str(failure).startswith("no runner can be started on the cluster: ")
    assert str(failure).endswith(
        "each node needs RAY_AUTH_MODE=token and the token of this machine; --set cluster.authentication=none does "
        "without"
    )


def test_no_cluster_at_the_address_is_one_line(whole: dict[str, bytes]) -> None:
    with pytest.raises(PosestreamError, match=r"^--ray 127\.0\.0\.1:9: no cluster answers: .*") as caught:
        run(SimpleNamespace(address="127.0.0.1:9"), "out")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
