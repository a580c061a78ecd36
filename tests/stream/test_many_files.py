"""A run of many files: bad ones harm no other, all is written down, and who runs it again has nothing to do."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numbered
import pytest
from media import numbered as picture
from media import write_video

from configs.load import load
from configs.schema import Settings
from stream.closing_words import problems, results
from stream.expected import Expected
from stream.launch import launch
from stream.messages import Begin
from stream.outputs import output_folders
from stream.runtime.progress import Progress
from stream.runtime.reports import Began
from stream.sources.find import find
from stream.summary import Summary

GOOD, BAD = 21, 4


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of short clips, three of which are none, and a table that names one more that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    Path("clips").mkdir()
    one = write_video(Path("clips/00.mp4"), [picture(n) for n in range(3)])
    for number in range(1, GOOD):
        Path(f"clips/{number:02}.mp4").write_bytes(one.read_bytes())
    Path("clips/empty.mp4").touch()
    Path("clips/text.mp4").write_text("no video\n")
    Path("clips/torn.mp4").write_bytes(one.read_bytes()[:100])
    rows = [f"clips/{path.name}" for path in sorted(Path("clips").iterdir())]
    Path("list.csv").write_text("\n".join(["source", *rows, "clips/none.mp4"]) + "\n")


def run(*more: str) -> tuple[Summary, Settings]:
    wanted = load(None, more, {"source.uris": ["list.csv"], "output.folder": "out", "infer.workers": 1})
    with output_folders(find(wanted.source.uris), wanted) as specs:
        summary, failure = launch(wanted, specs, lambda: 0, lambda _: None, "numbered:Filmed")
    assert failure is None
    return summary, wanted


@pytest.mark.parametrize("jobs", [1, 3])
def test_bad_files_harm_no_other_and_all_is_written_down(jobs: int) -> None:
    summary, _ = run(f"runtime.decoders={jobs}")
    assert summary.exit_code == 4
    assert summary.frames == 3 * GOOD
    entries = [json.loads(line) for line in Path("out/ledger.jsonl").read_text().splitlines()]
    states = {entry["source"]: entry["state"] for entry in entries}
    assert [name for name, state in states.items() if state != "done"] == ["empty", "text", "torn", "none"] or jobs > 1
    assert {state for name, state in states.items() if name in ("empty", "text", "torn", "none")} == {"failed"}
    assert len(states) == len(entries) == GOOD + BAD
    assert all(bool(entry["error"]) == (entry["state"] == "failed") for entry in entries)
    (last, figures) = results(summary)
    assert last == f"{GOOD + BAD} sources: {GOOD} done, {BAD} failed; see out/ledger.jsonl"
    assert figures.startswith(f"{3 * GOOD} frames in ")
    assert len(problems(summary)) == BAD
    assert len({Path(f"out/{number:02}/keypoints.jsonl").read_text().count("\n") for number in range(GOOD)}) == 1


def test_the_same_command_again_looks_at_the_bad_ones_alone() -> None:
    run()
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/keypoints.jsonl")}
    summary, _ = run()
    assert (summary.exit_code, summary.frames, summary.done) == (4, 3 * GOOD, 0)
    assert before == {path: path.stat().st_mtime_ns for path in Path("out").glob("*/keypoints.jsonl")}
    assert f"{GOOD} of {GOOD + BAD} sources are finished: nothing is to be done with them" in summary.run.notes
    assert len(Path("out/ledger.jsonl").read_text().splitlines()) == GOOD + 2 * BAD


def test_more_folders_than_files_may_be_open_can_be_owned(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    Path("many.csv").write_text("source\n" + "clips/00.mp4\n" * 600)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        wanted = load(None, (), {"source.uris": ["many.csv"], "output.folder": "out"})
        with output_folders(find(wanted.source.uris), wanted) as specs:
            assert len({spec.folder for spec in specs}) == 600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_whole_is_estimated_by_the_sizes_of_the_files() -> None:
    for name, size in (("a", 100), ("b", 300), ("c", 200)):
        Path(f"{name}.mp4").write_bytes(b"x" * size)
    specs = find(["a.mp4", "b.mp4", "c.mp4"])
    expected, progress = Expected(specs), Progress()
    assert expected.frames(progress) is None
    progress.begin(Began(Begin(specs[0], 64, 48, 25.0, frames=50)))
    assert expected.frames(progress) == 300
    progress.begin(Began(Begin(specs[1], 64, 48, 25.0, frames=350)))
    assert expected.frames(progress) == 600
    progress.begin(Began(Begin(specs[2], 64, 48, 25.0)))  # it does not say
    assert expected.frames(progress) == 600
