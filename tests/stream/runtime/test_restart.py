"""Whatever group of a live run dies or hangs: sources go on, people keep their ids, each frame is accounted for."""

from __future__ import annotations

import itertools
import os
import signal
from datetime import datetime
from pathlib import Path

import pytest
from msgspec import structs

from stream.sources.find import find
from tests.http_media import mjpeg_server
from tests.media import numbered, write_video
from tests.stand_in import accounts, running

GROUPS = ["decode", "infer", "nms+track+records", "render+video"]


@pytest.mark.parametrize(
    ("number", "group"),
    [  # a group that hangs is found after ten seconds, whichever it is; two stand for all
        *(pytest.param(signal.SIGKILL, group, id=f"killed-{group}") for group in GROUPS),
        *(pytest.param(signal.SIGSTOP, group, id=f"hung-{group}") for group in ("decode", "infer")),
    ],
)
def test_cameras_go_on_and_every_frame_is_accounted_for(tmp_path: Path, group: str, number: signal.Signals) -> None:
    with mjpeg_server() as one, mjpeg_server() as other:
        specs = [*find([one.url], name="a"), *find([other.url], name="b")]
        with running(specs, tmp_path) as run:
            run.until(lambda progress: all(progress.cuts.get(name) for name in "ab"))
            pid = run.progress.pids[group]
            os.kill(pid, number)
            run.until(lambda progress: progress.restarts == 1)
            before = {name: len(run.rows(name)) for name in "ab"}
            for name in "ab":
                run.until_frames(name, 30)
            summary = run.end()
    assert run.failure is None
    assert pid not in run.progress.pids.values()
    for name in "ab":
        rows = run.rows(name)
        assert len(rows) >= before[name] + 30
        indices = [row["index"] for row in rows]
        assert indices == sorted(set(indices)), "a number came twice"
        offered, least = accounts(summary, name, rows)
        assert 0 <= offered - least <= 12, "more is dropped behind the last record than can be under way"
        assert rows[-1]["epoch"] == (group == "decode")
        assert [person["id"] for row in rows[-10:] for person in row["people"]] == [2] * 10
        assert (tmp_path / name / "keypoints.jsonl").exists()


@pytest.mark.parametrize("group", ["decode-1", "infer-2"])
def test_it_is_so_with_several_decoders_and_networks(tmp_path: Path, group: str) -> None:
    with mjpeg_server() as one, mjpeg_server() as other:
        specs = [*find([one.url], name="a"), *find([other.url], name="b")]
        with running(specs, tmp_path, **{"runtime.decoders": 2, "infer.workers": 2}) as run:
            run.until(lambda progress: all(progress.cuts.get(name) for name in "ab"))
            os.kill(run.progress.pids[group], signal.SIGKILL)
            run.until(lambda progress: progress.restarts == 1)
            for name in "ab":
                run.until_frames(name, 30)
            summary = run.end()
    assert run.failure is None
    for name in "ab":
        rows = run.rows(name)
        offered, least = accounts(summary, name, rows)
        assert 0 <= offered - least <= 12
        assert rows[-1]["epoch"] == (group == "decode-1" and name == "a")
        assert [person["id"] for row in rows[-10:] for person in row["people"]] == [2] * 10


def test_a_file_at_its_own_clock_goes_on_where_it_would_be_by_now(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(number, 320, 96) for number in range(250)])
    (spec,) = find([str(clip)], realtime=True)
    with running([spec], tmp_path / "out", "tests.stand_in:Reads") as run:
        run.until_frames("clip", 20)
        os.kill(run.progress.pids["decode"], signal.SIGKILL)
        run.join(60)
    assert run.failure is None
    assert run.summary is not None
    rows = run.rows("clip")
    assert [round(row["people"][0]["box"][0]) for row in rows] == [row["index"] for row in rows]
    assert rows[-1]["index"] > 240
    gap = max(after["index"] - row["index"] for row, after in itertools.pairwise(rows))
    assert gap > 10
    walls = [datetime.fromisoformat(row["wall"]).timestamp() - row["pts_s"] for row in rows]
    assert max(walls) - min(walls) < 0.5, "it does not go on at the time where it would be"
    assert accounts(run.summary, "clip", rows)[0] == 250
    assert run.summary.sources[0].complete


def test_a_file_that_would_have_ended_by_now_ends(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(number) for number in range(30)])
    (spec,) = find([str(clip)], realtime=True)
    with running([spec], tmp_path / "out", "tests.stand_in:Reads") as run:
        run.until_frames("clip", 10)
        os.kill(run.progress.pids["decode"], signal.SIGKILL)
        run.join(60)
    assert run.failure is None
    assert run.summary is not None
    (source,) = run.summary.sources
    assert (source.problem, source.complete) == ("", True)
    assert "keypoints.jsonl" in source.outputs
    assert len(run.rows("clip")) == source.frames


def test_a_source_that_rests_rests_on_and_one_that_was_added_is_read_on(tmp_path: Path) -> None:
    with mjpeg_server() as one, mjpeg_server() as other:
        from stream.control import main

        with running(find([one.url], name="a"), tmp_path) as run:
            run.until_frames("a")
            assert main(["add", f"b={other.url}"]) == 0
            run.until_frames("b")
            assert main(["pause", "a"]) == 0
            run.until(lambda progress: progress.statuses["a"].state == "paused")
            os.kill(run.progress.pids["decode"], signal.SIGKILL)
            run.until(lambda progress: progress.restarts == 1)
            paused = len(run.rows("a"))
            run.until_frames("b", 40)
            assert len(run.rows("a")) == paused
            assert run.progress.statuses["a"].state == "paused"
            assert main(["resume", "a"]) == 0
            run.until_frames("a")
            summary = run.end()
    for name in "ab":
        accounts(summary, name, run.rows(name))


def test_a_decoder_of_files_that_dies_ends_the_run(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(number) for number in range(250)] * 4)
    (spec,) = find([str(clip)])
    with mjpeg_server() as server, running([structs.replace(spec, name="f"), *find([server.url])], tmp_path) as run:
        run.until_frames("f")
        os.kill(run.progress.pids["decode-1"], signal.SIGKILL)
        run.join(60)
    assert str(run.failure).startswith("stage decode-1 was killed by SIGKILL")
