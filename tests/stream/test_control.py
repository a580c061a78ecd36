"""Live sources are listed, added, removed and paused while a run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import pytest

from stream.control import main
from stream.sources.find import find
from tests.http_media import MjpegServer, mjpeg_server
from tests.media import numbered as picture
from tests.media import write_video
from tests.stand_in import Run, accounts, running


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with mjpeg_server() as serving:
        yield serving


@pytest.fixture
def run(server: MjpegServer, tmp_path: Path) -> Iterator[Run]:
    with running(find([server.url], name="a"), tmp_path / "out") as going:
        going.until_frames("a")
        yield going


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["list", "--json", *arguments]) == 0
    return {row["source"]: row for row in json.loads(capsys.readouterr().out)}


def said(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == code
    return capsys.readouterr().err


def test_a_source_comes_rests_and_goes_and_the_others_do_not_notice(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mjpeg_server() as other:
        assert main(["add", f"b={other.url}"]) == 0
        assert capsys.readouterr().out == f"b is added; its outputs: {tmp_path}/out/b\n"
        run.until_frames("b", 50)
        seen = listed(capsys)
        assert {name: row["state"] for name, row in seen.items()} == {"a": "ok", "b": "ok"}
        assert seen["b"]["fps_out"] > 5  # type: ignore[operator]

        assert main(["pause", "b"]) == 0
        run.until(lambda progress: progress.statuses["b"].state == "paused")
        run.until_frames("a", 25)
        paused = len(run.rows("b"))
        run.until_frames("a", 25)
        assert len(run.rows("b")) == paused, "frames were taken of a source that rests"
        assert listed(capsys)["b"]["state"] == "paused"
        assert main(["resume", "b"]) == 0
        run.until_frames("b", 20)

        assert main(["remove", "b"]) == 0
        run.until(lambda progress: "b" in progress.ended)
        run.until_frames("a", 25)
    file = json.loads((tmp_path / "out/b/run.json").read_text())["source"]
    assert set(file["outputs"]) == {"keypoints.jsonl", "overlay.mp4"}
    rows = run.rows("b")
    assert len(rows) == file["frames"]
    assert file["dropped"]["paused"] > 25
    assert sum(row["dropped"] for row in rows) + len(rows) == rows[-1]["index"] + 1
    assert max(row["dropped_by"].get("paused", 0) for row in rows) > 25
    with av.open(tmp_path / "out/b/overlay.mp4") as overlay:
        assert sum(1 for _ in overlay.decode(video=0)) == len(rows)
    assert list(listed(capsys)) == ["a"]
    summary = run.end()
    for name in ("a", "b"):
        offered, least = accounts(summary, name, run.rows(name))
        assert 0 <= offered - least <= 5, "more is dropped behind the last record than was under way"
        assert {person["id"] for row in run.rows(name)[25:] for person in row["people"]} == {2}


def test_a_source_that_cannot_be_had_is_refused_in_one_line_and_the_run_goes_on(
    run: Run, server: MjpegServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_video(tmp_path / "clip.mp4", [picture(1)])
    wrong = server.url.replace("live", "none")
    with mjpeg_server() as guarded:
        guarded.user = "me:secret"
        address = guarded.url.replace("//", "//me:wrong@")
        for asked, text in (
            (wrong, f"{wrong}: no such stream on the server (404); check the path"),
            (address, f"{guarded.url.replace('//', '//***@')}: wrong user or password (401)"),
            ("concat:a|b", "concat:a|b: FFmpeg's protocols are not read; give the files themselves"),
            (str(clip), f"{clip}: not a live source; files need a run of their own"),
        ):
            assert said(capsys, 3, "add", asked) == f"posestream: {text}\n"
    refused = "posestream: -: the standard input is the run's own from its start; name a pipe\n"
    assert said(capsys, 8, "add", "-") == refused
    assert said(capsys, 3, "remove", "c") == "posestream: no live source c is being read; there are a\n"
    run.until_frames("a")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a"]


def test_a_name_that_is_taken_is_numbered(run: Run, server: MjpegServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add", f"a={server.url}"]) == 0
    assert capsys.readouterr().out.startswith("a-2 is added")
    run.until_frames("a-2")


def test_a_source_that_rests_is_told_as_resting_though_its_camera_is_away(
    run: Run, server: MjpegServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pause", "a"]) == 0
    server.hangs = True
    run.until(lambda progress: progress.statuses["a"].state == "paused")
    assert main(["resume", "a"]) == 0
    run.until(lambda progress: progress.statuses["a"].state == "reconnecting")
    server.hangs = False
    run.until_frames("a")


def test_without_a_run_one_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, 3, "list") == "posestream: no live run of this user goes on here\n"
    assert said(capsys, 3, "list", "--run", "none").endswith(
        "posestream-none does not answer; it has ended, or has no live source\n"
    )


def test_of_several_runs_one_is_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as opened:
        server = opened.enter_context(mjpeg_server())
        for name in ("one", "two"):
            run = opened.enter_context(running(find([server.url], name=name), tmp_path / name))
            run.until_frames(name)
        text = said(capsys, 2, "list")
        assert text.startswith("posestream: 2 runs go on: ")
        assert text.endswith("; name one with --run\n")
        names = text.removeprefix("posestream: 2 runs go on: ").partition(";")[0].split(", ")
        found = {name.partition(" ")[0]: name.partition(" ")[2] for name in names}
        assert set(found.values()) == {"(one)", "(two)"}
        for name, sources in found.items():
            assert list(listed(capsys, "--run", name)) == [sources.strip("()")]


def test_only_its_user_can_ask_a_run(run: Run) -> None:
    folder = next(path for path in Path(os.environ["TMPDIR"]).glob("posestream-*"))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "commands").is_socket()
