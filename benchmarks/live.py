"""Live sources under faults: an RTSP server on the loopback that is killed, frozen and made to lose packets.

    python benchmarks/live.py                 # ten kills, three freezes: about two minutes
    python benchmarks/live.py --kills 2 --freezes 1

Whole runs are in `benchmarks/live_runs.py`.
Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,ugly}. Time limits are those
of the settings as delivered. Prints how soon a fault is noticed and healed, and what it leaves behind.
"""

from __future__ import annotations

import argparse
import random
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from configs.sources import LiveSettings

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.rtsp_client import Server
from tests.watched import Watched

LIVE = LiveSettings().model_dump()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--freezes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    rng = random.Random(asked.seed)
    faults(asked.kills, asked.freezes, rng)
    for transport in ("tcp", "udp"):
        for loss in (0.0, 0.02, 0.15):
            losses(transport, loss)
    refusals()


def faults(kills: int, freezes: int, rng: random.Random) -> None:
    server = Server()
    me = psutil.Process()
    with server.watched(**LIVE) as watch:
        watch.until_frames(50)
        before = me.memory_info().rss, me.num_fds(), threading.active_count()
        killed = [round_of(watch, server.kill, server.start, rng.uniform(0.0, 3.0)) for _ in range(kills)]
        stop, on = (lambda: server.signal(signal.SIGSTOP)), (lambda: server.signal(signal.SIGCONT))
        frozen = [round_of(watch, stop, on, rng.uniform(0.0, 3.0)) for _ in range(freezes)]
        watch.until(lambda _: threading.active_count() == before[2])
        after = me.memory_info().rss, me.num_fds(), threading.active_count()
    server.kill()
    for name, rounds in (("SIGKILL of the server", killed), ("SIGSTOP of the server", frozen)):
        if rounds:
            row(f"{name}, noticed after", [noticed for noticed, _ in rounds])
            row(f"{name}, frames again after its return", [back for _, back in rounds])
    print(f"memory {(after[0] - before[0]) / 2**20:+.1f} MiB, descriptors {after[1] - before[1]:+d}, ", end="")
    print(f"threads {after[2] - before[2]:+d}; epochs {watch.frames[-1].epoch}, Begin {len(watch.begins)}")


def round_of(
    watch: Watched, break_it: Callable[[], None], heal_it: Callable[[], None], out_s: float
) -> tuple[float, float]:
    """Seconds until a fault is noticed, and until frames come after it is gone."""
    break_it()
    noticed_s = watch.until(lambda me: me.states[-1][0] == "reconnecting")
    time.sleep(out_s)
    heal_it()
    epoch = watch.frames[-1].epoch
    back_s = watch.until(lambda me: me.frames[-1].epoch > epoch)
    watch.until_frames(25)
    return noticed_s, back_s


def losses(transport: str, loss: float) -> None:
    server = Server("--loss", str(loss))
    with server.watched(f"live?rtsp_transport={transport}", **LIVE) as watch:
        watch.until_frames(150, 30)
    flagged = sum("damaged" in frame.flags for frame in watch.frames)
    print(f"{transport}, {loss:.0%} of packets lost: {flagged} of {len(watch.frames)} frames flagged")
    server.kill()


def refusals() -> None:
    server = Server("--user", "me:secret")
    for name, user, path in (("password", "me:wrong@", "live"), ("path", "me:secret@", "none")):
        with server.watched(path, user, **LIVE) as watch:
            took_s = watch.until(lambda me: me.ends)
        print(f"wrong {name}, told after {took_s:.2f} s: {watch.ends[0].problem}")
    server.kill()


def row(name: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    p95 = ordered[max(0, -(-95 * len(ordered) // 100) - 1)]
    middle, worst = statistics.median(ordered), ordered[-1]
    print(f"{name}: median {middle:.2f} s, p95 {p95:.2f} s, worst {worst:.2f} s, n {len(ordered)}")


if __name__ == "__main__":
    main()
