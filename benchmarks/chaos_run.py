"""One run over a recording with a stand-in network, which says where it is: what `chaos.py` kills.

python benchmarks/chaos_run.py CLIP FOLDER [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where a worker finds the stand-in

from configs.errors import PosestreamError
from configs.load import load
from stream.interrupts import Interrupts
from stream.launch import launch
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.sources.find import find


def main() -> int:
    clip, folder, *more = sys.argv[1:]
    settings = load(None, more, {"source.uris": [clip], "output.folder": folder})
    said: list[str] = []

    def watch(progress: Progress) -> None:
        """Line by line: the processes of the groups, the last commit, the notes."""
        cut = max((each.index for each in progress.cuts.values()), default=0)
        begun = {"begun"} if progress.frames() else set()
        lines = [f"pid {group} {pid}" for group, pid in progress.pids.items()]
        for line in [*lines, *begun, f"cut {cut}", *(f"note {note}" for note in progress.notes)]:
            if line not in said:
                said.append(line)
                print(line, flush=True)

    with Interrupts() as interrupts, output_folders(find([clip]), settings) as specs:
        summary, failure = launch(settings, specs, interrupts.count, watch, "numbered:Filmed")
        print(f"end {summary.frames}", flush=True)
        if failure:
            print(f"posestream: {failure}", file=sys.stderr)
            return failure.exit_code
        return interrupts.exit_code() or summary.exit_code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
