"""A small batch of real clips, run on one machine and over a fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from media import noisy, write_video

from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.sources.find import find
from stream.summary import Summary

FACTORY = "numbered:Filmed"
COUNTS = (96, 48, 160, 32)


def make_clips(folder: Path = Path("clips")) -> None:
    """Clips of so many frames, whose pictures carry their number."""
    folder.mkdir()
    for at, count in enumerate(COUNTS):
        write_video(folder / f"{at}.mp4", [noisy(n) for n in range(count)], g="8", audio="aac")


def settings(output: str, *more: str, source: str = "clips", address: str | None = "auto") -> Settings:
    fixed = {"source.uris": [source], "output.folder": output, "infer.workers": 1, "cluster.address": address}
    return load(None, ["runtime.cut_every=8", "cluster.authentication=none", *more], fixed)


def run_alone(output: str, *more: str, source: str = "clips") -> Summary:
    """A run on this machine."""
    wanted = settings(output, *more, source=source, address=None)
    with output_folders(find(wanted.source.uris), wanted) as specs:
        summary, failure = launch(wanted, specs, lambda: 0, lambda _: None, FACTORY)
    assert failure is None
    return summary


def outputs(folder: str) -> dict[str, bytes]:
    """All files below a folder but run.json and the ledger, which tell times."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.name not in ("run.json", "ledger.jsonl")
    }


Watch = Callable[[Progress], None]
