"""What publishing costs: records a second, added age and the publisher's memory with 1, 10 and 50 readers.

    python benchmarks/share.py                                # 1500 records at 30 a second, a Markdown table
    python benchmarks/share.py --records 5000 --fps 500

Readers are processes of ten subscriptions each at most. In the last row one more reader is stopped by SIGSTOP while
records are sent; what it got and what it was told is missing must add up to what was sent.
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

import numpy as np
import psutil

from stream.client import Gap, subscribe
from stream.keys import KeyFolder
from stream.published import State
from stream.records import Person, Record
from stream.sinks.broadcast import Broadcast
from stream.sinks.endpoint import endpoint_of

KEYPOINTS = [(float(at), 2.5, 0.5) for at in range(17)]
PER_PROCESS = 10
COLUMNS = ("readers", "stopped", "records/s sent", "CPU µs a record", "age p50 ms", "age p95 ms", "lost", "memory + MB")


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


def read(address: str, readers: int) -> None:
    """In a process of its own: ages of all records and how many were lost, as JSON."""
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
    print(json.dumps({"ages": ages, "lost": sum(lost)}))


def start(address: str, readers: int) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--read", address, "--readers", str(readers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def row(readers: int, stopped: bool, given: argparse.Namespace) -> list[str]:
    outlet = Broadcast(endpoint_of("tcp://127.0.0.1:0"), KeyFolder(None))
    outlet.tell(State("cam1", "ok", (), ()))
    outlet.send(record(0, 1))
    shares = [min(PER_PROCESS, readers - at) for at in range(0, readers, PER_PROCESS)]
    processes = [start(outlet.address, share) for share in shares]
    extra = start(outlet.address, 1) if stopped else None
    for process, share in zip([*processes, *([extra] if extra else [])], [*shares, 1], strict=False):
        for _ in range(share):
            process.stdout.readline()
    if extra:
        os.kill(extra.pid, signal.SIGSTOP)
    before = psutil.Process().memory_info().rss
    started_s, busy_s = time.monotonic(), time.process_time()
    for number in range(1, given.records + 1):
        time.sleep(max(0.0, started_s + number / given.fps - time.monotonic()))
        outlet.send(record(number, given.people))
    seconds, busy_s = time.monotonic() - started_s, time.process_time() - busy_s
    memory = psutil.Process().memory_info().rss - before
    outlet.tell(State("cam1", "ended", (), ()))
    got = [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]
    if extra:
        os.kill(extra.pid, signal.SIGCONT)
        late = json.loads(extra.communicate()[0].splitlines()[-1])
        print(f"stopped: {len(late['ages'])} got, {late['lost']} told missing, {given.records} sent", file=sys.stderr)
    outlet.close()
    ages = np.concatenate([each["ages"] for each in got])
    figures = [given.records / seconds, 1e6 * busy_s / given.records, *np.percentile(ages, (50, 95))]
    lost = sum(each["lost"] for each in got)
    return [str(readers), "1" if stopped else "0", *(f"{x:.2f}" for x in figures), str(lost), f"{memory / 1e6:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1500)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--readers", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read, given.readers)
        return
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for readers, stopped in ((1, False), (10, False), (50, False), (1, True)):
        print("| " + " | ".join(row(readers, stopped, given)) + " |", flush=True)


if __name__ == "__main__":
    main()
