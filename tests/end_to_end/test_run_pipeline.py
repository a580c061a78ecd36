"""The command line as a user meets it: outputs, exit codes, one line for each thing that is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from media import cut_index, remux, spoil

from stream.demo import make_scene

ROOT = Path(__file__).parents[2]
FRAMES = 20


def posestream(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A run with one network: as many as there are cores take longer to load than these clips to run."""
    return subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", "--set", "infer.workers=1", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What went wrong. Other lines there say what was chosen: the model, the backend."""
    return [line for line in done.stderr.splitlines() if line.startswith("posestream: ")]


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "keypoints.jsonl").read_text().splitlines()]


def frame_count(video: Path) -> int:
    with av.open(video) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scene") / "scene.mp4"
    make_scene(path, people=2, seconds=FRAMES / 30)
    return path


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory, scene: Path) -> Path:
    """The outputs of a run as it comes, without video."""
    folder = tmp_path_factory.mktemp("plain")
    done = posestream(folder, "--source", scene, "--no-save", "--output", "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_help_answers_at_once_and_names_every_option(tmp_path: Path) -> None:
    before = os.times()
    done = posestream(tmp_path, "--help")
    after = os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert used_s < 1  # measured 0.3 s of processor time; torch alone takes two
    assert done.returncode == 0
    for option in ("--source", "--config", "--set", "--output", "--weights", "--conf", "--kpt-thr", "--json", "--web"):
        assert option in done.stdout


def test_a_clip_gives_overlay_records_and_summary(tmp_path: Path, scene: Path) -> None:
    done = posestream(tmp_path, "--source", scene, "--json")
    assert (done.returncode, errors(done)) == (0, [])
    run = tmp_path / "runs" / "scene"
    rows = records(run)
    assert [row["index"] for row in rows] == list(range(FRAMES))
    assert all(len(row["people"]) == 2 for row in rows)
    assert {person["id"] for row in rows for person in row["people"]} == {1, 2}
    assert frame_count(run / "overlay.mp4") == FRAMES
    summary = json.loads(done.stdout)
    assert summary["frames"] == FRAMES
    assert set(summary["stages"]) == {"decode", "infer", "nms", "track", "render", "video", "records"}
    assert [json.loads((run / "run.json").read_text())["source"]] == summary["sources"]
    assert summary["run"]["notes"] == [line for line in done.stderr.splitlines() if line not in errors(done)]
    assert [note.partition(" ")[0] for note in summary["run"]["notes"]] == ["model", "backend"]
    assert sorted(os.listdir(run)) == ["keypoints.jsonl", "overlay.mp4", "run.json"]


@pytest.mark.parametrize(
    "setting",
    [
        "runtime.transport=inproc",
        "runtime.groups=[[decode, infer, nms, track, records, render, video]]",
        "runtime.slots=2",
        "infer.workers=2",
    ],
)
def test_records_do_not_depend_on_how_the_stages_are_grouped(
    tmp_path: Path, scene: Path, plain_run: Path, setting: str
) -> None:
    done = posestream(tmp_path, "--source", scene, "--no_save", "--output", "other", "--set", setting)
    assert done.returncode == 0, done.stderr
    assert (plain_run / "keypoints.jsonl").read_bytes() == (tmp_path / "other/keypoints.jsonl").read_bytes()


def test_records_equal_those_of_the_python_api(scene: Path, plain_run: Path) -> None:
    import msgspec

    from stream.api import tracks

    assert [json.loads(msgspec.json.encode(record)) for record in tracks(scene)] == records(plain_run)


def test_several_sources_each_get_a_folder_and_a_bad_one_harms_no_other(tmp_path: Path, scene: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video\n")
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "clips" / name).symlink_to(scene)
    done = posestream(tmp_path, "--source", "clips/*.mp4", "text.mp4", "--end", "0.2", "--output", "out")
    assert done.returncode == 4
    (error,) = errors(done)
    assert "text.mp4" in error
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b", "ledger.jsonl"]
    assert (tmp_path / "out/a/keypoints.jsonl").read_text().count("\n") == 6


def audio_only(path: Path) -> None:
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for at in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, at * 1024, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def lossless(path: Path, count: int, width: int, height: int) -> None:
    with av.open(path, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), "rgb24")))
        if count:
            container.mux(stream.encode(None))


def end_cut_off(path: Path, scene: Path) -> None:
    data = remux(scene, path, "mp4", movflags="+faststart").read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10])


def folder_of(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


Make = Callable[[Path, Path], object]
BAD: list[tuple[str, Make, list[str], int, str]] = [
    ("missing", lambda bad, scene: None, ["bad"], 3, "bad"),
    ("empty file", lambda bad, scene: bad.touch(), ["bad"], 3, "empty"),
    ("text", lambda bad, scene: bad.write_text("hello\n"), ["bad"], 3, "bad"),
    ("random bytes", lambda bad, scene: bad.write_bytes(os.urandom(9999)), ["bad"], 3, "bad"),
    ("audio only", lambda bad, scene: audio_only(bad), ["bad"], 3, "no video"),
    ("index cut off", lambda bad, scene: cut_index(scene, bad), ["bad"], 3, "cut"),
    ("end cut off", lambda bad, scene: end_cut_off(bad, scene), ["bad"], 4, "bad"),
    ("flipped bits", lambda bad, scene: spoil(scene, bad, every=5), ["bad"], 4, "damaged"),
    ("no frames", lambda bad, scene: lossless(bad, 0, 64, 48), ["bad"], 3, "bad"),
    ("empty folder", lambda bad, scene: bad.mkdir(), ["bad"], 3, "bad"),
    ("folder of text", lambda bad, scene: folder_of(bad, {"a.txt": b"a"}), ["bad"], 3, "bad"),
    ("folder of torn images", lambda bad, scene: folder_of(bad, {"a.png": b"a", "b.png": b"b"}), ["bad"], 3, "bad"),
    ("pipe", lambda bad, scene: os.mkfifo(bad), ["bad"], 3, "bad"),
    ("glob of nothing", lambda bad, scene: None, ["*.nothing"], 3, "*.nothing"),
    ("camera", lambda bad, scene: None, ["0"], 3, "camera"),
    ("empty source", lambda bad, scene: None, ["--source", ""], 2, "--source is empty"),
    ("rtsp", lambda bad, scene: None, ["rtsp://me:secret@host/1"], 3, "rtsp://***@host/1"),
    (
        "unknown setting",
        lambda bad, scene: bad.touch(),
        ["bad", "--set", "track.lost_afer_s=1"],
        2,
        "did you mean lost_after_s",
    ),
    (
        "setting out of range",
        lambda bad, scene: bad.touch(),
        ["bad", "--conf", "7"],
        2,
        "--conf is 7.0; it should be less",
    ),
    ("unknown option", lambda bad, scene: bad.touch(), ["bad", "--bogus"], 2, "--bogus"),
    ("no such preset", lambda bad, scene: bad.touch(), ["bad", "--config", "none.yaml"], 2, "none.yaml"),
    ("time that is none", lambda bad, scene: bad.touch(), ["bad", "--start", "1:x"], 2, "hh:mm:ss"),
    (
        "no port",
        lambda bad, scene: bad.write_bytes(scene.read_bytes()),
        ["bad", "--web", "localhost"],
        2,
        "web localhost: no address",
    ),
    (
        "port elsewhere",
        lambda bad, scene: bad.write_bytes(scene.read_bytes()),
        ["bad", "--web", "192.0.2.7:80"],
        5,
        "192.0.2.7:80: Cannot",
    ),
    (
        "missing weights",
        lambda bad, scene: bad.write_bytes(scene.read_bytes()),
        ["bad", "--weights", "no.pth"],
        6,
        "no.pth",
    ),
    (
        "output is a file",
        lambda bad, scene: bad.write_bytes(scene.read_bytes()),
        ["bad", "--output", "bad", "--overwrite"],
        5,
        "bad",
    ),
    (
        "output is the source",
        lambda bad, scene: folder_of(bad, {"overlay.mp4": scene.read_bytes()}),
        ["bad/overlay.mp4", "--output", "bad", "--overwrite"],
        5,
        "output bad/overlay.mp4 is the source",
    ),
    (
        "start after the end",
        lambda bad, scene: bad.write_bytes(scene.read_bytes()),
        ["bad", "--start", "99"],
        3,
        "--start",
    ),
]


@pytest.mark.parametrize(
    ("make", "arguments", "code", "said"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_bad_input_gets_one_line_and_its_exit_code(
    tmp_path: Path, scene: Path, make: Make, arguments: list[str], code: int, said: str
) -> None:
    make(tmp_path / "bad", scene)
    done = posestream(tmp_path, *arguments, "--quiet")
    assert done.returncode == code, done.stderr
    (error,) = errors(done)
    assert said in error
    assert "secret" not in done.stderr + done.stdout
    left = {path.name for path in tmp_path.rglob("*")}
    assert not any(name.endswith(".part") or name == "overlay.tmp" for name in left)
    if code == 3:
        assert not list(tmp_path.rglob("run.json")), "a source that gave nothing left outputs"


def test_one_pixel_is_a_picture_too(tmp_path: Path) -> None:
    lossless(tmp_path / "dot.mkv", 3, 1, 1)
    done = posestream(tmp_path, "dot.mkv")
    assert (done.returncode, errors(done)) == (0, [])
    assert [row["people"] for row in records(tmp_path / "runs/dot")] == [[], [], []]
    assert frame_count(tmp_path / "runs/dot/overlay.mp4") == 3


def long_run(folder: Path, scene: Path, times: int = 30) -> subprocess.Popen[str]:
    """Start a run of the scene so many times and wait until its records grow."""
    (folder / "long").mkdir()
    for at in range(times):
        (folder / "long" / f"{at}.mp4").symlink_to(scene)
    process = subprocess.Popen(
        [sys.executable, ROOT / "run_pipeline.py", "long", "--output", "out", "--set", "infer.workers=1"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until_s = time.monotonic() + 120
    while not any(path.stat().st_size > 3000 for path in folder.glob("out/*/keypoints.jsonl*")):
        assert process.poll() is None
        assert time.monotonic() < until_s
    return process


def test_an_interrupted_run_ends_in_time_with_playable_outputs(tmp_path: Path, scene: Path) -> None:
    process = long_run(tmp_path, scene)
    process.send_signal(signal.SIGINT)
    asked_s = time.monotonic()
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - asked_s < 5
    assert process.returncode == 130, said
    for run in (tmp_path / "out").glob("*/"):
        assert frame_count(run / "overlay.mp4") == len(records(run)) > 0
    runs = [json.loads(run.read_text()) for run in (tmp_path / "out").glob("*/run.json")]
    assert [run["source"]["complete"] for run in runs].count(False) == 1


def test_a_run_goes_on_without_a_loss_when_its_network_is_killed(tmp_path: Path, scene: Path) -> None:
    process = long_run(tmp_path, scene, times=4)
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 4
    max(workers, key=lambda worker: worker.memory_info().rss).kill()  # the network's is the largest
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "stage infer was killed by SIGKILL: most likely the memory" in said
    assert "all stages begin again at the last commit (1 of 5 restarts in 60 s)" in said
    runs = list((tmp_path / "out").glob("*/"))
    assert len(runs) == 4
    for run in runs:
        assert frame_count(run / "overlay.mp4") == len(records(run)) == FRAMES


def test_a_killed_supervisor_leaves_no_process_and_the_next_run_clears_up(tmp_path: Path, scene: Path) -> None:
    process = long_run(tmp_path, scene)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
    done = posestream(tmp_path, scene, "--end", "0.1", "--no-save", "--output", "out/0", "--overwrite")
    assert (done.returncode, errors(done)) == (0, []), "its lock is taken over"
