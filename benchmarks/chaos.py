"""A batch run that is killed, starved and stopped: whether its outputs are those of a run that nothing happened to.

    python benchmarks/chaos.py                         # all tables as below, about 20 minutes
    python benchmarks/chaos.py kills --times 20 --frames 2000
    python benchmarks/chaos.py long --frames 900000    # ten hours of video: about three hours

The network is a stand-in of 8 ms a frame; all else is the pipeline as delivered. Moments are drawn with --seed.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where a worker finds the stand-in

from media import BITS, noisy, numbered, write_video

GROUPS = ("decode", "infer", "nms+track+records", "render+video")
CLIP = "clip.mp4"
Made = dict[str, bytes]
Row = dict[str, object]


class Pictures(Sequence[np.ndarray]):
    """Numbered pictures, made when they are asked for."""

    def __init__(self, make: Callable[[int], np.ndarray], count: int) -> None:
        self._make, self._count = make, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if number >= self._count:
            raise IndexError(number)
        return self._make(number % (1 << BITS))


class Run:
    """A run in a process of its own."""

    def __init__(self, folder: Path, *more: str, clip: str = CLIP, prefix: tuple[str, ...] = ()) -> None:
        script = str(Path(__file__).with_name("chaos_run.py"))
        command = [*prefix, sys.executable, script, str(folder / clip), str(folder / "out"), *more]
        self.pids: dict[str, int] = {}
        self.errors = folder / "errors.txt"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder)

    def lines(self) -> Iterator[str]:
        """What it says, as it comes."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("pid "):
                _, group, pid = line.split()
                self.pids[group] = int(pid)
            yield line.rstrip()

    def until(self, said: str) -> bool:
        """Whether it says that before it ends."""
        return any(line.startswith(said) for line in self.lines())

    def end(self) -> int:
        """Its exit code."""
        for _ in self.lines():
            pass
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait()


def made(folder: Path) -> Made:
    return {name: (folder / "out" / name).read_bytes() for name in ("keypoints.jsonl", "overlay.mp4")}


def whole(folder: Path, frames: int) -> tuple[Made, float]:
    """The outputs of a run of so many frames that nothing happens to, and the seconds that it takes."""
    write_video(folder / CLIP, Pictures(noisy, frames))
    began_s = time.monotonic()
    assert Run(folder).end() == 0
    seconds = time.monotonic() - began_s
    found = made(folder)
    assert found["keypoints.jsonl"].count(b"\n") == frames
    anew(folder)
    return found, seconds


def anew(folder: Path) -> None:
    shutil.rmtree(folder / "out")


def again_until_done(folder: Path) -> int:
    """Run until it is done; how often that took."""
    for count in range(1, 100):
        if Run(folder).end() == 0:
            return count
    raise AssertionError("it is never done")


def kills(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """Each group is killed at a random moment, once a run."""
    clean, seconds = whole(folder, asked.frames)
    rows: list[Row] = []
    for group in GROUPS:
        equal, waits_s = 0, []
        for _ in range(asked.times):
            run = Run(folder, "infer.workers=1")
            run.until("begun")
            time.sleep(random.uniform(0, 0.6 * seconds))
            killed_s = time.monotonic()
            with_pid = psutil.pid_exists(run.pids[group])
            if with_pid:
                os.kill(run.pids[group], signal.SIGKILL)
                run.until("note stage")
                run.until("cut")
                waits_s.append(time.monotonic() - killed_s)
            equal += run.end() == 0 and made(folder) == clean
            anew(folder)
        worst = f"{statistics.median(waits_s):.1f} s, {max(waits_s):.1f} s at most" if waits_s else ""
        rows.append({"killed": group, "times": asked.times, "bytes equal": equal, "next commit after": worst})
    return rows


def supervisor(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """The supervisor is killed at random moments, and the command is given again until it is done."""
    clean, seconds = whole(folder, asked.frames)
    equal = 0
    for _ in range(asked.times):
        run = Run(folder)
        time.sleep(random.uniform(0.5, seconds))
        run.process.kill()
        run.end()
        again_until_done(folder)
        equal += made(folder) == clean
        anew(folder)
    return [{"killed": "supervisor", "times": asked.times, "bytes equal": equal}]


def writes(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """A run of three segments, each of whose processes is killed at its n-th fsync, rename or write, for every n."""
    if not shutil.which("strace"):
        return [{"killed at": "strace is not installed"}]
    clean, _ = whole(folder, 600)
    return [_killed_at(folder, calls, clean, asked) for calls in ("fsync", "/^rename", "write,pwrite64")]


def _killed_at(folder: Path, calls: str, clean: Made, asked: argparse.Namespace) -> Row:
    moments = range(1, 1000) if calls != "write,pwrite64" else sorted(random.sample(range(1, 400), 4 * asked.times))
    equal = tried = killed = 0
    for moment in moments:
        inject = f"inject={calls}:signal=KILL:when={moment}"
        run = Run(folder, prefix=("strace", "-f", "-qq", "-o", "strace.txt", "-e", f"trace={calls}", "-e", inject))
        run.end()
        hit = "killed by SIGKILL" in (folder / "strace.txt").read_text()
        again_until_done(folder)
        tried, killed, equal = tried + 1, killed + hit, equal + (made(folder) == clean)
        anew(folder)
        if not hit:
            break
    return {"killed at": calls, "runs": tried, "of them killed": killed, "bytes equal": equal}


def full(folder: Path, _: argparse.Namespace) -> list[Row]:
    """The disk gets full, is made larger, and the command is given again."""
    clean, _ = whole(folder, 600)
    size = sum(len(data) for data in clean.values())
    rows: list[Row] = []
    for what, more in (("overlay and records", ()), ("records alone", ("video.save=false",))):
        (folder / "out").mkdir()
        room = int(0.7 * size) if not more else len(clean["keypoints.jsonl"]) // 2
        with _disk(folder / "out", room) as resize:
            code = Run(folder, *more).end()
            said = (folder / "errors.txt").read_text().strip()
            resize(4 * size)
            codes = code, Run(folder, *more).end()
            names = set(clean) & set(os.listdir(folder / "out"))
            same = all((folder / "out" / name).read_bytes() == clean[name] for name in names)
        anew(folder)
        rows.append({"full": what, "exit codes": codes, "bytes equal": same, "said": re.sub(r"/\S*/", "", said)})
    return rows


@contextmanager
def _disk(path: Path, size: int) -> Iterator[Callable[[int], None]]:
    def mount(options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)

    mount(f"size={size}")
    try:
        yield lambda larger: mount(f"remount,size={larger}")
    finally:
        subprocess.run(["umount", str(path)], check=True)


def stops(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """Ctrl-C, SIGTERM, Ctrl-C twice, a closed terminal at random moments; then the command is given again."""
    clean, seconds = whole(folder, asked.frames)
    kinds = {
        "Ctrl-C": [signal.SIGINT],
        "SIGTERM": [signal.SIGTERM],
        "Ctrl-C twice": [signal.SIGINT] * 2,
        "closed terminal": [signal.SIGHUP],
    }
    return [stopped(folder, name, numbers, clean, seconds, asked.times) for name, numbers in kinds.items()]


def stopped(folder: Path, name: str, numbers: list[signal.Signals], clean: Made, seconds: float, times: int) -> Row:
    took_s, codes, equal, left = [], set(), 0, 0
    for _ in range(times):
        run = Run(folder)
        run.until("pid render+video")
        time.sleep(random.uniform(0, 0.5 * seconds))
        for number in numbers:
            run.process.send_signal(number)
            time.sleep(0.05)
        began_s = time.monotonic()
        codes.add(run.end())
        took_s.append(time.monotonic() - began_s)
        left += sum(psutil.pid_exists(pid) for pid in run.pids.values())
        again_until_done(folder)
        equal += made(folder) == clean
        anew(folder)
    slowest = f"{max(took_s):.1f} s at most"
    return {"stopped by": name, "times": times, "ended in": slowest, "exit": codes, "left": left, "bytes equal": equal}


def long(folder: Path, asked: argparse.Namespace) -> list[Row]:
    """Memory of a long run over its time, and how soon it goes on where it was stopped."""
    frames = max(asked.frames, 3000)
    write_video(folder / CLIP, Pictures(numbered, frames), preset="ultrafast")
    rows: list[Row] = []
    for share in (0.5, 0.99, 1.0):
        began_s = time.monotonic()
        run, went_on_s, held = Run(folder), 0.0, list[tuple[float, float]]()
        for line in run.lines():
            if line.startswith("cut ") and int(line.split()[1]):
                went_on_s = went_on_s or time.monotonic() - began_s
                held.append((time.monotonic(), _memory_mb(run)))
                if int(line.split()[1]) >= share * frames:
                    run.process.send_signal(signal.SIGINT)
        code = run.end()
        settled = held[len(held) // 4 :]
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope * 3600 if len(settled) > 8 else None
        rows.append(
            {
                "frames": frames,
                "to": f"{share:.0%}",
                "exit": code,
                "first commit after": f"{went_on_s:.1f} s",
                "MB": f"{held[-1][1]:.0f}" if held else "",
                "MB an hour": "" if slope is None else f"{slope:+.1f}",
            }
        )
    assert made(folder)["keypoints.jsonl"].count(b"\n") == frames
    return rows


def _memory_mb(run: Run) -> float:
    """Memory that is the processes' own: the run's, and its groups'."""
    found = 0
    for pid in (run.process.pid, *run.pids.values()):
        if psutil.pid_exists(pid):
            found += psutil.Process(pid).memory_full_info().uss
    return found / 1e6


TABLES: dict[str, Callable[[Path, argparse.Namespace], list[Row]]] = {
    "kills": kills,
    "supervisor": supervisor,
    "writes": writes,
    "full": full,
    "stops": stops,
    "long": long,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"{', '.join(TABLES)}; none: all of them")
    parser.add_argument("--times", type=int, default=5, help="kills or stops of each kind (default: 5)")
    parser.add_argument("--frames", type=int, default=600, help="of the recording (default: 600)")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for name in asked.tables or TABLES:
        random.seed(asked.seed)
        with tempfile.TemporaryDirectory() as folder:
            rows = TABLES[name](Path(folder), asked)
        print(f"\n{name} --times {asked.times} --frames {asked.frames} --seed {asked.seed}\n")
        print(*_table(rows), sep="\n", flush=True)


def _table(rows: list[Row]) -> Iterator[str]:
    yield f"| {' | '.join(rows[0])} |"
    yield "|" + "---|" * len(rows[0])
    for row in rows:
        yield f"| {' | '.join(str(value) for value in row.values())} |"


if __name__ == "__main__":
    main()
