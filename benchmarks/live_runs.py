"""Whole live runs: how old a record is, what too fast a source costs, four cameras, faults of stages, Ctrl-C.

    python benchmarks/live_runs.py                           # all tables, about 15 minutes
    python benchmarks/live_runs.py --short glass overload    # some, each in seconds

Cameras are MJPEG servers in this process, whose pictures carry their number. The network is a stand-in that takes
20 ms, or `lite`. Time limits are those of the settings as delivered, in the short form shorter ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil

from configs.schema import InferSettings
from stream.control import main as control
from stream.demo import make_scene
from stream.pipeline import PIPELINE
from stream.sources.find import find

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.http_media import MjpegServer, mjpeg_server
from tests.media import number_of, pictures_of
from tests.stand_in import QUICK, Run, accounts, running

ROOT = Path(__file__).parents[1]
STAND_IN = "tests.stand_in:StandIn"
AS_DELIVERED: dict[str, Any] = dict.fromkeys(QUICK)
GROUPS = ("decode", "infer", "nms+track+records", "render+video")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)}; none: all of them")
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes")
    asked = parser.parse_args()
    if unknown := set(asked.tables) - set(TABLES):
        parser.error(f"no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for name in asked.tables or TABLES:
        print(f"\n{name}")
        with tempfile.TemporaryDirectory() as folder:
            TABLES[name](Path(folder), asked.short)


def glass(folder: Path, short: bool) -> list[dict[str, float]]:
    """From the moment at which a picture was made to its record: by the number that the overlay still shows."""
    rows = [_glass(folder / "stand-in", STAND_IN, 3 if short else 60)]
    if not short:
        rows.append(_glass(folder / "lite", PIPELINE, 60))
    return rows


def _glass(folder: Path, network: str, seconds: float) -> dict[str, float]:
    with camera(period_s=0.04) as server, _going(folder, {"a": server}, network) as run:
        wait(seconds)
        run.end()
        sent_s = server.sent_s
    shown = [number_of(picture) for _, picture in pictures_of(folder / "a" / "overlay.mp4")]
    ages_ms = []
    for row, number in zip(run.rows("a"), shown, strict=True):
        at_s = datetime.fromisoformat(row["wall"]).timestamp() + row["age_ms"] / 1000
        made_s = max(made_s for made_s in sent_s[number::256] if made_s <= at_s + 0.001)
        ages_ms.append(1000 * (at_s - made_s))
    p50, p95, p99 = np.percentile(ages_ms, (50, 95, 99))
    print(f"{network}: n {len(ages_ms)}, p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
    return {"n": len(ages_ms), "p50": p50, "p95": p95, "p99": p99}


def overload(folder: Path, short: bool) -> dict[str, float]:
    """A source at twice the speed of a network that takes 20 ms a frame."""
    seconds = 5 if short else 300
    with camera(period_s=0.01) as server, _going(folder, {"a": server}, STAND_IN) as run:
        wait(seconds / 5)
        pids = list(run.progress.pids.values())
        before = sum(psutil.Process(pid).memory_info().rss for pid in pids)
        wait(seconds * 4 / 5)
        growth = sum(psutil.Process(pid).memory_info().rss for pid in pids) - before
        summary = run.end()
        served = server.number
    rows = run.rows("a")
    offered, _ = accounts(summary, "a", rows)
    ages_ms = [row["age_ms"] for row in rows]
    p99 = float(np.percentile(ages_ms, 99))
    limit_ms = 1000 * InferSettings().max_age_s
    print(f"{seconds} s: served {served}, offered {offered}, delivered {len(rows)}", end=", ")
    print(f"dropped {summary.sources[0].dropped}, restarts {run.progress.restarts}")
    print(f"age p50 {statistics.median(ages_ms):.0f} ms, p99 {p99:.0f} ms (limit {limit_ms:.0f})", end="; ")
    print(f"memory of the stages {growth / 2**20:+.1f} MiB")
    return {"served": served, "offered": offered, "delivered": len(rows), "p99": p99, "growth": growth}


def cameras(folder: Path, short: bool) -> list[tuple[str, dict[str, float]]]:
    """Four cameras; one goes and comes back, one is added, one is removed: what the others notice."""
    network, seconds = (STAND_IN, 2.5) if short else (PIPELINE, 30.0)
    with ExitStack() as opened:
        still = b"" if short else _scene(folder)
        servers = {name: opened.enter_context(camera(still, period_s=0.1)) for name in "abcde"}
        run = opened.enter_context(_going(folder / "out", {name: servers[name] for name in "abcd"}, network))
        phases = [_phase(run, "four", "abcd", seconds)]
        servers["d"].hangs = True
        phases.append(_phase(run, "one away", "abc", seconds + 6))
        servers["d"].hangs = False
        phases.append(_phase(run, "it is back", "abc", seconds))
        assert control(["add", f"e={servers['e'].url}"]) == 0
        phases.append(_phase(run, "one added", "abc", seconds))
        assert control(["remove", "d"]) == 0
        phases.append(_phase(run, "one removed", "abc", seconds))
        summary = run.end()
    for name in "abcde":
        accounts(summary, name, run.rows(name))
    return phases


def _phase(run: Run, what: str, names: str, seconds: float) -> tuple[str, dict[str, float]]:
    """Frames a second of each source, and who was seen, in a stretch of the run."""
    before = {name: len(run.rows(name)) for name in names}
    wait(seconds)
    rows = {name: run.rows(name)[before[name] :] for name in names}
    rates = {name: len(rows[name]) / seconds for name in names}
    people = {name: sorted({person["id"] for row in rows[name] for person in row["people"]}) for name in names}
    spread = max(rates.values()) / max(min(rates.values()), 0.01) - 1
    print(f"{what}: fps {' '.join(f'{rate:.1f}' for rate in rates.values())}, apart {spread:.0%}, ids {people}")
    return what, {**rates, "apart": spread}


def faults(folder: Path, short: bool) -> list[tuple[str, str, float]]:
    """SIGKILL and SIGSTOP of each group: when a frame has passed all stages again."""
    found = []
    changes = {} if short else AS_DELIVERED
    for number in (signal.SIGKILL, signal.SIGSTOP):
        for group in GROUPS[:1] if short else GROUPS:
            with camera(period_s=0.04) as server:
                out = folder / f"{number.name}-{group}"
                with _going(out, {"a": server}, STAND_IN, **changes) as run:
                    run.until(lambda progress: progress.cuts.get("a"))
                    pids = set(run.progress.pids.values())
                    began_s = time.monotonic()
                    os.kill(run.progress.pids[group], number)
                    run.until(lambda progress: progress.restarts == 1)
                    noticed_s = time.monotonic() - began_s
                    run.until_frames("a", 1)
                    back_s = time.monotonic() - began_s - noticed_s
                    run.until_frames("a", 25)
                    gone = pids - set(run.progress.pids.values())
                    summary = run.end()
            rows = run.rows("a")
            accounts(summary, "a", rows)
            left = [pid for pid in gone if psutil.pid_exists(pid)]
            ids = sorted({person["id"] for row in rows[-20:] for person in row["people"]})
            print(
                f"{number.name} of {group}: noticed {noticed_s:.1f} s, frames {back_s:.1f} s later, ids {ids}", end=", "
            )
            print(f"processes left {left}, dropped {summary.sources[0].dropped}")
            found.append((number.name, group, back_s))
    return found


def interrupts(folder: Path, short: bool) -> list[float]:
    """Ctrl-C at random moments, every second one while the camera is away: how soon the command ends."""
    rng, took_s = random.Random(1), []
    for count in [1] if short else range(10):
        with camera(period_s=0.04) as server:
            command = [sys.executable, str(ROOT / "run_pipeline.py"), server.url, "-o", str(folder / f"run{count}")]
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            started_s = time.monotonic()
            if count % 2:
                while not _records(folder / f"run{count}") and run.poll() is None:
                    wait(0.1)
                server.hangs = True
                wait(rng.uniform(0.0, 7.0))
            else:
                wait(rng.uniform(0.5, 15.0))
            moment_s = time.monotonic() - started_s
            began_s = time.monotonic()
            os.killpg(run.pid, signal.SIGINT)
            _, said = run.communicate(timeout=30)
            took_s.append(time.monotonic() - began_s)
        rows, frames = _played(folder / f"run{count}")
        print(f"after {moment_s:.1f} s{', camera away' if count % 2 else ''}: ended in {took_s[-1]:.2f} s", end=", ")
        print(f"exit {run.returncode}, {rows} records, {frames} frames of overlay {said.decode()[:200]!r}")
        assert run.returncode == 130
    return took_s


def _records(folder: Path) -> int:
    """Records of a run that goes on."""
    part = folder / "keypoints.jsonl.part"
    return part.read_bytes().count(b"\n") if part.exists() else 0


def _played(folder: Path) -> tuple[int, int]:
    """Records and frames of the overlay that can be read; the run may have ended before there were any."""
    rows = frames = 0
    if (folder / "keypoints.jsonl").exists():
        rows = len([json.loads(line) for line in (folder / "keypoints.jsonl").read_bytes().splitlines()])
    if (folder / "overlay.mp4").exists():
        with av.open(folder / "overlay.mp4") as overlay:
            frames = sum(1 for _ in overlay.decode(video=0))
    assert not list(folder.glob("*.part"))
    return rows, frames


@contextmanager
def camera(still: bytes = b"", period_s: float = 0.04) -> Iterator[MjpegServer]:
    """A camera on the loopback."""
    with mjpeg_server() as server:
        server.still, server.period_s = still, period_s
        yield server


@contextmanager
def _going(folder: Path, servers: dict[str, MjpegServer], network: str, **changes: Any) -> Iterator[Run]:
    """A run of cameras, all of which have given frames."""
    specs = [spec for name, server in servers.items() for spec in find([server.url], name=name)]
    with running(specs, folder, network, **changes) as run:
        for name in servers:
            run.until_frames(name, 1, 120)
        yield run


def _scene(folder: Path) -> bytes:
    """A JPEG of the demo's drawn people."""
    path = folder / "scene.mp4"
    make_scene(path, people=2, seconds=1.0)
    _, picture = pictures_of(path)[10]
    encoded: bytes = cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()
    return encoded


def wait(seconds: float) -> None:
    """Let the run go on."""
    time.sleep(seconds)


TABLES: dict[str, Callable[[Path, bool], Sequence[Any] | dict[str, float]]] = {
    "glass": glass,
    "overload": overload,
    "cameras": cameras,
    "faults": faults,
    "interrupts": interrupts,
}

if __name__ == "__main__":
    main()
