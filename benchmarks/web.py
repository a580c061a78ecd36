"""What the page costs: frames a second of a whole run while nobody looks, and while many do.

    python benchmarks/web.py                     # a clip of drawn people, a Markdown table
    python benchmarks/web.py clip.mp4 --rounds 5

An idle viewer is connected and asks for nothing, as a page in a hidden tab; a slow one takes a picture, then half a
second's rest. All run on this machine, so their own work counts against the page. The cases take turns; what is shown
is the median of the rounds.
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
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

ROOT = Path(__file__).parents[1]
PORT = 8765
CASES = ((None, None), (0, 0), (20, 5), (200, 20))
COLUMNS = ("idle viewers", "slow viewers", "fps", "of the fps without a page", "pictures sent", "refused with 503")
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
    await asyncio.gather(*(viewer(source, at < slow, counts) for at in range(idle + slow)))


def run(clip: Path, idle: int | None, slow: int | None) -> tuple[float, dict[str, int]]:
    """Frames a second of a run, and what its viewers have seen."""
    counts = {"sent": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / "run_pipeline.py", clip, "-o", "out", "--no-save", "--json", "--quiet"]
        command += [] if idle is None else ["--web", str(PORT)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
        with suppress(asyncio.CancelledError):
            asyncio.run(until_over(done, look(clip.stem, idle or 0, slow or 0, counts)))
        out, _ = done.communicate()
    return float(json.loads(out)["fps"]), counts


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
        results: list[list[tuple[float, dict[str, int]]]] = [[] for _ in CASES]
        for at in range(given.rounds):
            for case in range(len(CASES)):
                n = (case + at) % len(CASES)
                results[n].append(run(clip, *CASES[n]))
                print(f"{time.strftime('%X')} {CASES[n]}: {results[n][-1]}", file=sys.stderr)
    fps = [statistics.median(each for each, _ in some) for some in results]
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    for case, (idle, slow) in enumerate(CASES):
        sent = statistics.median(counts["sent"] for _, counts in results[case])
        refused = statistics.median(counts["refused"] for _, counts in results[case])
        who = ("no page", "") if idle is None else (idle, slow)
        print(
            f"| {who[0]} | {who[1]} | {fps[case]:.1f} | {100 * fps[case] / fps[0]:.1f} % | {sent:.0f} | {refused:.0f} |"
        )


if __name__ == "__main__":
    main()
