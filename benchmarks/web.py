"""What the page costs: frames a second of a whole run while nobody looks, and while many do.

    python benchmarks/web.py                     # a clip of drawn people, a Markdown table
    python benchmarks/web.py clip.mp4 --rounds 5

An idle viewer is connected and asks for nothing, as a page in a hidden tab; a slow one takes a picture, then half a
second's rest. All run on this machine, so their own work counts against the page. The cases take turns; what is shown
is the median of the rounds. Processor time is that of all processes of the run, models loaded in it: it says the same
on a machine that has other work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

ROOT = Path(__file__).parents[1]
PORT = 8765
CASES = ((None, None), (0, 0), (20, 5), (200, 20))
COLUMNS = ("idle viewers", "slow viewers", "fps", "CPU ms a frame", "of that without a page", "pictures sent", "503s")
REST_S = 0.5


async def viewer(source: str, slow: bool, counts: dict[str, int]) -> None:
    address = f"ws://127.0.0.1:{PORT}/api/view?source={source}"
    while True:
        try:
            async with connect(address, max_size=None) as socket:
                while slow:
                    await socket.send("picture")
                    await socket.recv()
                    counts["sent"] += 1
                    await asyncio.sleep(REST_S)
                await socket.wait_closed()
        except InvalidStatus as error:
            if error.response.status_code == 503:
                counts["refused"] += 1
                return
        except (OSError, WebSocketException):
            pass
        await asyncio.sleep(0.1)  # not open yet


async def look(source: str, idle: int, slow: int, counts: dict[str, int]) -> None:
    """Slow viewers, and idle ones as soon as those have got something: who comes first has the seats."""
    tasks = [asyncio.ensure_future(viewer(source, True, counts)) for _ in range(slow)]
    while slow and not counts["sent"]:
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks, *(viewer(source, False, counts) for _ in range(idle)))


def run(clip: Path, idle: int | None, slow: int | None) -> tuple[float, float, dict[str, int]]:
    """Frames a second of a run, its processor time in ms a frame, and what its viewers have seen."""
    counts = {"sent": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / "run_pipeline.py", clip, "-o", "out", "--no-save", "--json", "--quiet"]
        command += [] if idle is None else ["--web", str(PORT)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        before = os.times()
        done = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
        asyncio.run(until_over(done, look(clip.stem, idle or 0, slow or 0, counts)))
        summary = json.loads(done.communicate()[0])
    after = os.times()
    spent_s = after.children_user + after.children_system - before.children_user - before.children_system
    return summary["fps"], 1000 * spent_s / summary["frames"], counts


async def until_over(process: subprocess.Popen[str], work: object) -> None:
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    while process.poll() is None:
        await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = given.clip.resolve() if given.clip else Path(folder) / "walkers.mp4"
        if not given.clip:
            from stream.demo import make_walkers

            make_walkers(clip, seconds=15.0)
        results: list[list[tuple[float, float, dict[str, int]]]] = [[] for _ in CASES]
        for at in range(given.rounds):
            for case in range(len(CASES)):
                n = (case + at) % len(CASES)
                results[n].append(run(clip, *CASES[n]))
                print(f"{time.strftime('%X')} {CASES[n]}: {results[n][-1]}", file=sys.stderr)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    without_ms = statistics.median(ms for _, ms, _ in results[0])
    for (idle, slow), some in zip(CASES, results, strict=True):
        fps, ms = (statistics.median(each[at] for each in some) for at in (0, 1))  # type: ignore[misc]
        sent, refused = (statistics.median(each[2][what] for each in some) for what in ("sent", "refused"))
        who = "no page | " if idle is None else f"{idle} | {slow}"
        print(f"| {who} | {fps:.1f} | {ms:.1f} | {100 * ms / without_ms:.1f} % | {sent:.0f} | {refused:.0f} |")


if __name__ == "__main__":
    main()
