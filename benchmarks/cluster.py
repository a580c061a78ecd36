"""What a cluster brings and costs, with the extra `ray` installed.

    python -m benchmarks.cluster                        # five minutes
    python -m benchmarks.cluster many_tasks harm        # some of it

On nodes of Ray that all run on this machine, with a network that only takes its time: it sleeps. Speed-up over one
process on 2 and 4 nodes of a recording that is shared out by its frames; what 10,000 tasks of nothing cost, and the
memory of the driver meanwhile.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from msgspec import structs

from configs.load import load
from configs.schema import Settings
from engines.ops.people import nobody
from stream.distributed.driver import Driver
from stream.distributed.runner import Runner
from stream.distributed.site import shared_of, site
from stream.distributed.tasks import Files, Outcome, to_bytes
from stream.messages import Frame, Message, Poses, SourceSpec
from stream.outputs import output_folders
from stream.pipeline import Pipeline
from stream.runtime.progress import Progress
from stream.sources.find import find
from stream.stage import Stage

FRAMES, TAKES_S, CUT_EVERY = 800, 0.12, 10
TASKS = 10_000
FACTORY = "benchmarks.cluster:Sleeping"
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


class Sleeping(Pipeline):
    """The pipeline with a network that sleeps and finds nobody."""

    def stage(self, name: str, settings: Settings) -> Stage:
        return Sleeps() if name == "infer" else super().stage(name, settings)


class Sleeps(Stage):
    def process(self, message: Message) -> Iterator[Message]:
        if isinstance(message, Frame):
            time.sleep(TAKES_S)
            yield Poses(message, nobody())
        else:
            yield message


class Idler(Runner):
    """A runner whose tasks are nothing."""

    def work(self, task: bytes) -> bytes:
        return to_bytes(Outcome())


def make_clip(path: Path) -> None:
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"g": str(CUT_EVERY), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(FRAMES):
            picture = np.full((96, 128, 3), number % 200, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))


@contextmanager
def nodes(count: int) -> Iterator[str]:
    """A cluster of so many nodes of one CPU on this machine; its address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE, "num_cpus": 0})
    try:
        for _ in range(count):
            cluster.add_node(**NODE)
        yield cluster.address
    finally:
        cluster.shutdown()


def settings(output: str, address: str | None) -> Settings:
    fixed = {"source.uris": ["clip.mp4"], "output.folder": output, "infer.workers": 1, "cluster.address": address}
    return load(None, [f"runtime.cut_every={CUT_EVERY}", "video.save=false"], fixed)


def seconds(output: str, address: str | None) -> float:
    """How long the recording takes, with all that starts and ends."""
    from stream.cluster import launch_on_cluster
    from stream.launch import launch

    wanted = settings(output, address)
    began_s = time.monotonic()
    with output_folders(find(wanted.source.uris), wanted) as specs:
        run = launch_on_cluster if address else launch
        summary, failure = run(wanted, specs, lambda: 0, lambda _: None, FACTORY)
    assert failure is None
    assert summary.frames == FRAMES
    return time.monotonic() - began_s


def speed_up() -> None:
    """On a wall clock, from the command to its end; the cluster is there before."""
    alone_s = seconds("alone", None)
    print(f"one process: {alone_s:.1f} s for {FRAMES} frames of {1000 * TAKES_S:.0f} ms", flush=True)
    for count in (2, 4):
        with nodes(count) as address:
            took_s = seconds(f"on-{count}", address)
        same = Path(f"on-{count}/keypoints.jsonl").read_bytes() == Path("alone/keypoints.jsonl").read_bytes()
        beyond_ms = 1000 * (took_s * count - FRAMES * TAKES_S) / (FRAMES / CUT_EVERY)
        print(
            f"{count} nodes: {took_s:.1f} s, {alone_s / took_s:.2f} times as fast, {beyond_ms:.0f} ms of a node beyond "
            f"the work for each segment of {CUT_EVERY} frames, same bytes: {same}",
            flush=True,
        )


def harm() -> None:
    """The recording on 2 nodes, a runner killed every 10 s and once a node that stands still for 5 s."""
    with nodes(2) as address:
        clean_s = seconds("clean", address)
        over = threading.Event()
        killed: list[int] = []

        def kill() -> None:
            while not over.wait(10):
                children = psutil.Process().children(recursive=True)
                runners = [child for child in children if "".join(child.cmdline()).startswith("ray::Runner")]
                if runners:
                    killed.append(runners[0].pid)
                    runners[0].kill()
                if len(killed) == 2:
                    node = next(child for child in reversed(children) if child.name() == "raylet")
                    node.suspend()
                    over.wait(5)
                    node.resume()

        thread = threading.Thread(target=kill)
        thread.start()
        harmed_s = seconds("harmed", address)
        over.set()
        thread.join()
    same = Path("harmed/keypoints.jsonl").read_bytes() == Path("clean/keypoints.jsonl").read_bytes()
    print(
        f"2 nodes: {clean_s:.1f} s; with {len(killed)} runners killed and a node that stood still for 5 s "
        f"{harmed_s:.1f} s, {harmed_s / clean_s:.2f} times as long, same bytes: {same}",
        flush=True,
    )


def many_tasks() -> None:
    from stream.cluster import RayFleet, connected

    with nodes(4) as address, tempfile.TemporaryDirectory() as folder:
        wanted = settings("none", address)
        spec = SourceSpec("none", "file", "", folder)
        shared = shared_of([spec])
        tasks = [Files((structs.replace(spec, name=str(number)),)) for number in range(TASKS)]
        memory: list[int] = []
        process = psutil.Process()

        def watch(_: Progress) -> None:
            memory.append(process.memory_info().rss)

        with connected(wanted) as ray:
            fleet = RayFleet(ray, wanted, FACTORY, to_bytes(shared), Idler)
            driver = Driver(fleet, wanted, site(wanted.engine, shared), Progress(), _nothing)
            driver.run(tasks[:100], lambda: 0, lambda _: None)
            began_s = time.monotonic()
            driver.run(tasks, lambda: 0, watch)
            took_s = time.monotonic() - began_s
            fleet.close()
    first, half, last = (memory[at] >> 20 for at in (0, len(memory) // 2, -1))
    print(
        f"{TASKS} tasks of nothing on 4 nodes: {took_s:.1f} s, {1000 * took_s / TASKS:.2f} ms each; the driver's "
        f"memory {first} MiB at first, {half} halfway, {last} at the end"
    )


def _nothing(_: Any) -> None:
    pass


def main() -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", "0" * 40)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_clip(Path("clip.mp4"))
        for measure in (many_tasks, speed_up, harm):
            if len(sys.argv) < 2 or measure.__name__ in sys.argv[1:]:
                measure()


if __name__ == "__main__":
    main()
