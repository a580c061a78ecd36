"""Frames on which stages die, and recordings whose reading dies, end neither the run nor the batch."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numbered
import pytest
from media import noisy, number_of, write_video

from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.outputs import output_folders
from stream.poison import Poison
from stream.runtime.recovers import At, Death
from stream.runtime.reports import Failed
from stream.sources.find import find
from stream.summary import Summary

COUNT = 48


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two clips, whose workers find the tests' stages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))
    for name in ("a.mp4", "b.mp4"):
        write_video(Path(name), [noisy(n) for n in range(COUNT)])


def run(*uris: str) -> tuple[Summary, Exception | None]:
    fixed = {"source.uris": list(uris), "output.folder": "out", "infer.workers": 1}
    settings: Settings = load(None, ["runtime.cut_every=8"], fixed)
    with output_folders(find(settings.source.uris), settings) as specs:
        return launch(settings, specs, lambda: 0, lambda _: None, "numbered:Filmed")


def rows(path: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def shown(path: str) -> list[int]:
    with av.open(path) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def test_frames_that_kill_a_stage_twice_are_rows_without_people() -> None:
    Path("poison").write_text("infer a 19\nnms a 21")
    summary, failure = run("a.mp4")
    assert failure is None
    found = [note for note in summary.run.notes if "is given nobody" in note]
    assert found == [f"frame {n} of a is given nobody: 2 times stages failed on it" for n in (19, 21)]
    assert (summary.frames, summary.sources[0].damaged, summary.exit_code) == (COUNT, 2, 4)
    written = rows("out/keypoints.jsonl")
    assert [row["index"] for row in written] == list(range(COUNT))
    assert {row["index"]: (row["flags"], row["people"]) for row in written if row["flags"] or not row["people"]} == {
        19: (["error"], []),
        21: (["error"], []),
    }
    assert shown("out/overlay.mp4") == list(range(COUNT))


def test_a_recording_that_kills_its_reader_ends_where_it_was_committed_and_the_others_go_on() -> None:
    Path("poison").write_text("decode a 21")
    summary, failure = run("a.mp4", "b.mp4")
    assert failure is None
    a, b = summary.sources
    assert a.problem == "a.mp4: cannot be read on near frame 21: stage decode left with exit code 9, 3 times"
    assert (a.frames, a.state, b.frames, b.state, summary.exit_code) == (16, "damaged", COUNT, "done", 4)
    assert len(rows("out/a/keypoints.jsonl")) == 16
    assert shown("out/a/overlay.mp4") == list(range(16))


def dies(*frames: int, reads: bool = False) -> Death:
    return Death(Failed(7, "stage x was killed", ""), reads, [At("a", frame) for frame in frames])


def test_who_dies_at_different_frames_is_to_blame_itself() -> None:
    poison = Poison()
    assert [poison.take(dies(frame)) for frame in range(6)] == [""] * 6
    assert (poison.frames, poison.alone) == ({}, set())


def test_of_a_batch_the_frames_are_seen_one_by_one_before_one_is_blamed() -> None:
    poison = Poison()
    assert [poison.take(dies(4, 5, 6, 7)), poison.take(dies(4, 5, 6, 7))] == ["", ""]
    assert (poison.frames, poison.alone) == ({}, {"a"})
    assert poison.take(dies(6)) == "frame 6 of a is given nobody: 2 times stages failed on it"
    assert poison.frames == {"a": [6]}


def test_deaths_with_something_done_in_between_have_nothing_in_common() -> None:
    poison = Poison()
    assert not poison.take(dies(4))
    poison.succeed()
    assert not poison.take(dies(4))
    assert poison.take(dies(4))


def test_a_stage_that_dies_on_every_frame_is_broken_itself() -> None:
    poison = Poison()
    said = [poison.take(dies(frame)) for frame in range(10) for _ in range(2)]
    assert [bool(line) for line in said] == [False, True] * 8 + [False] * 4


def test_reading_that_dies_far_apart_is_tried_again() -> None:
    poison = Poison()
    assert not any(poison.take(dies(frame, reads=True)) for frame in (10, 50, 90))
    assert [bool(poison.take(dies(frame, reads=True))) for frame in (100, 103)] == [False, True]
    assert list(poison.unreadable) == ["a"]
