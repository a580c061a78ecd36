"""What publishing costs, what late and stopped readers get, and what strangers get at its ports.

    python benchmarks/share.py                                # all, 1500 records at 30 a second, Markdown tables
    python benchmarks/share.py --only fan-out --readers 50 --style raw
    python benchmarks/share.py --only stopped --records 5000 --fps 500

fan-out: records a second, added age, CPU. Readers of the style typed are `stream.client`, ten to a process; raw are
bare sockets in one process that note when a record came and decode it afterwards: of the age most is then the
publisher's and the kernel's. stopped: one more reader is stopped by SIGSTOP while records are sent; what it got and
what it was told is missing must add up. pipeline: frames a second of the stages nms, track and publish, and their
processor time a frame, with one reader that is stopped and without. late: who joins while nothing is sent. probes: see
share_probes.py.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
import numpy as np
import psutil
import zmq

from configs.schema import NmsSettings, PublishSettings, SmoothSettings, TrackSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO
from stream.client import Gap, subscribe
from stream.keys import KeyFolder
from stream.messages import Begin, End, Frame, Message, Poses, SourceSpec
from stream.nms import Nms
from stream.published import Decoder, State
from stream.records import Person, Record
from stream.sinks.broadcast import Broadcast
from stream.sinks.endpoint import endpoint_of
from stream.sinks.publish import Publish
from stream.stage import Chain
from stream.track import Track

KEYPOINTS = [(float(at), 2.5, 0.5) for at in range(17)]
PER_PROCESS = {"typed": 10, "raw": 1000}
TCP = "tcp://127.0.0.1:0"
PARTS = ("fan-out", "stopped", "pipeline", "late", "probes")


def record(number: int, people: int) -> Record:
    persons = [
        Person(at + 1, 0.9, (0.0, 1.0, 2.0, 3.0), KEYPOINTS, [(x, y) for x, y, _ in KEYPOINTS], "seen")
        for at in range(people)
    ]
    return Record(
        source="cam1",
        epoch=0,
        index=number,
        pts_s=time.monotonic_ns() / 1e9,
        width=1280,
        height=720,
        dropped=0,
        flags=[],
        people=persons,
    )


@contextmanager
def publisher(keys: str | None = None, address: str = TCP) -> Iterator[Broadcast]:
    outlet = Broadcast(endpoint_of(address), KeyFolder(keys))
    outlet.tell(State("cam1", "ok", (), ()))
    outlet.send(record(0, 1))
    try:
        yield outlet
    finally:
        outlet.close()


def read(address: str, readers: int, style: str) -> None:
    """In a process of its own: a line for each reader that reads; ages of all records and how many were lost."""
    ages, lost = (_read_typed if style == "typed" else _read_raw)(address, readers)
    print(json.dumps({"ages": ages, "lost": lost}))


def _read_typed(address: str, readers: int) -> tuple[list[float], int]:
    ages: list[float] = []
    lost = [0] * readers
    started = threading.Barrier(readers)

    def one(at: int) -> None:
        for each in subscribe(address, "cam1", gaps=True, timeout_s=60):
            if isinstance(each, Gap):
                lost[at] += each.records or 0
            elif each.index == 0:
                started.wait()
                print(flush=True)
            else:
                ages.append(1000 * (time.monotonic_ns() / 1e9 - each.pts_s))

    threads = [threading.Thread(target=one, args=[at]) for at in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ages, sum(lost)


def _read_raw(address: str, readers: int) -> tuple[list[float], int]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller = zmq.Poller()
    for _ in range(readers):
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"cam1")
        socket.connect(address)
        poller.register(socket, zmq.POLLIN)
    came: list[tuple[int, list[bytes]]] = []
    ended, told = 0, 0
    while ended < readers:
        for socket, _ in poller.poll():
            parts = socket.recv_multipart()
            came.append((time.monotonic_ns(), parts))
            ended += b"ended" in parts[2][:100]
            if told < readers and b"state" in parts[1]:
                told += 1
                print(flush=True)
    context.destroy(linger=0)
    decoder = Decoder()
    ages = []
    for at_ns, parts in came:
        _, body = decoder.decode(parts[1], parts[2])
        if isinstance(body, Record) and body.index:
            ages.append(1000 * (at_ns / 1e9 - body.pts_s))
    return ages, -1


@contextmanager
def reading(address: str, readers: int, style: str = "typed") -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of readers, all of which read."""
    each = PER_PROCESS[style]
    shares = [min(each, readers - at) for at in range(0, readers, each)]
    started = []
    try:
        for share in shares:
            command = [sys.executable, __file__, "--read", address, "--readers", str(share), "--style", style]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for process, share in zip(started, shares, strict=True):
            for _ in range(share):
                assert process.stdout is not None
                process.stdout.readline()
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def results(processes: list[subprocess.Popen[str]]) -> tuple[np.ndarray, int]:
    got = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    return np.concatenate([each["ages"] for each in got]), sum(each["lost"] for each in got)


def send_all(outlet: Broadcast, records: int, fps: float, people: int) -> tuple[float, float]:
    """Records a second that were sent, and seconds of processor time that each took."""
    started_s, busy_s = time.monotonic(), time.process_time()
    for number in range(1, records + 1):
        time.sleep(max(0.0, started_s + number / fps - time.monotonic()))
        outlet.send(record(number, people))
    spent_s, busy_s = time.monotonic() - started_s, time.process_time() - busy_s
    outlet.tell(State("cam1", "ended", (), ()))
    return records / spent_s, busy_s / records


def fan_out(readers: int, style: str, records: int, fps: float, people: int) -> dict[str, float]:
    with publisher() as outlet, reading(outlet.address, readers, style) as processes:
        rate, busy_s = send_all(outlet, records, fps, people)
        ages, lost = results(processes)
    p50, p95 = np.percentile(ages, (50, 95))
    received = len(ages) / readers / records
    return {"rate": rate, "cpu_us": 1e6 * busy_s, "p50": p50, "p95": p95, "lost": lost, "received": received}


def stopped(records: int, fps: float, people: int) -> dict[str, float]:
    """One reader reads on, one is stopped: what both got, and what the publisher's memory grew by."""
    with (
        publisher() as outlet,
        reading(outlet.address, 1) as healthy,
        reading(outlet.address, 1) as frozen,
    ):
        os.kill(frozen[0].pid, signal.SIGSTOP)
        before = psutil.Process().memory_info().rss
        rate, _ = send_all(outlet, records, fps, people)
        grown = psutil.Process().memory_info().rss - before
        ages, lost = results(healthy)
        os.kill(frozen[0].pid, signal.SIGCONT)
        late, told = results(frozen)
    return {
        "rate": rate,
        "healthy got": len(ages),
        "healthy lost": lost,
        "stopped got": len(late),
        "stopped told missing": told,
        "memory + MB": grown / 1e6,
    }


def poses(count: int) -> Iterator[Message]:
    """Five people who walk, as the network gives them."""
    rng = np.random.default_rng(0)
    body = rng.uniform((0, 0), (80, 200), (17, 2)).astype(np.float32)
    yield Begin(SourceSpec("cam1", "file", "walk.mp4"), 1280, 720, 25.0)
    for number in range(count):
        corner = np.stack([200.0 * np.arange(5) + number % 100, np.full(5, 300.0)], 1).astype(np.float32)
        boxes = np.concatenate([corner, corner + (80, 200)], 1).astype(np.float32)
        sure = np.full((5, 17), 0.9, np.float32)
        people = People(boxes, np.full(5, 0.9, np.float32), corner[:, None] + body, sure, sure)
        yield Poses(Frame("cam1", 0, number, number * 40_000_000, 0, 0, 1280, 720, None), people)
    yield End("cam1", count)


def pipeline_fps(records: int, turns: int = 5) -> dict[str, float]:
    """Frames a second of the stages that share publish's process, one reader reading: plain, and one more stopped.

    The two take turns; the change is the median of the turns' ratios, for the machine's load moves both.
    """
    turned = [(_stages_fps(records, False), _stages_fps(records, True)) for _ in range(turns)]
    (fps, cpu_us), (fps_stopped, cpu_us_stopped) = np.median(turned, axis=0)
    changes = [100 * (other / one - 1) for (one, _), (other, _) in turned]
    return {
        "fps": fps,
        "one stopped": fps_stopped,
        "change %": float(np.median(changes)),
        "least": min(changes),
        "most": max(changes),
        "CPU us a frame": cpu_us,
        "CPU us, one stopped": cpu_us_stopped,
    }


def _stages_fps(records: int, with_stopped: bool) -> tuple[float, float]:
    """Frames a second, and microseconds of processor time a frame."""
    sink = Publish(PublishSettings(addresses=(TCP,)), COCO)
    address = sink.notes[0].split()[-1]
    chain = Chain([Nms(NmsSettings()), Track(TrackSettings(), SmoothSettings()), sink])
    messages = [*poses(records)]
    list(chain.process(messages.pop(0)))  # the source is told of, so that readers know that they read
    with readers_of(address, 1), readers_of(address, int(with_stopped)) as frozen:
        for process in frozen:
            os.kill(process.pid, signal.SIGSTOP)
        started_s, busy_s = time.monotonic(), time.process_time()
        for message in messages:
            list(chain.process(message))
        spent_s, busy_s = time.monotonic() - started_s, time.process_time() - busy_s
        chain.close()
    return records / spent_s, 1e6 * busy_s / records


@contextmanager
def readers_of(address: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Bare readers that have been told of the source."""
    with reading(address, count, "raw") if count else _none() as processes:
        yield processes


@contextmanager
def _none() -> Iterator[list[subprocess.Popen[str]]]:
    yield []


def late_joiners(count: int) -> list[float]:
    """Seconds until each of so many readers has the last record, though nothing is sent."""
    took_s = []
    with publisher() as outlet:
        for _ in range(count):
            started_s = time.monotonic()
            with subscribe(outlet.address, "cam1", timeout_s=5.0) as frames, suppress(TimeoutError):
                next(frames)
            took_s.append(time.monotonic() - started_s)
    return took_s


def table(rows: list[dict[str, float]]) -> None:
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:.4g}" for value in row.values()) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1500)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--readers", type=int, action="append")
    parser.add_argument("--style", choices=[*PER_PROCESS], action="append")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read, given.readers[0], given.style[0])
        return
    parts = given.only or PARTS
    load = (given.records, given.fps, given.people)
    if "fan-out" in parts:
        for style in given.style or PER_PROCESS:
            print(f"\n{style}")
            table([{"readers": n, **fan_out(n, style, *load)} for n in given.readers or (1, 10, 50)])
    more: dict[str, Callable[[], dict[str, float]]] = {
        "stopped": lambda: stopped(*load),
        "pipeline": lambda: pipeline_fps(given.records),
        "late": lambda: {"joined": 20, "slowest s": max(late_joiners(20))},
        "probes": _probes,
    }
    for name in (name for name in more if name in parts):
        print(f"\n{name}")
        table([more[name]()])


def _probes() -> dict[str, float]:
    from share_probes import probe_all

    return msgspec.to_builtins(probe_all())


if __name__ == "__main__":
    main()
