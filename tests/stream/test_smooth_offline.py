"""Records smoothed after a run: short gaps are filled, ids, raw keypoints and frames stay, the overlay is new."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from made_records import clip_of, record, write_records
from media import write_video
from msgspec import structs

from configs.load import load
from configs.schema import SmoothSettings
from stream.demo import make_walkers
from stream.export.clip import open_run
from stream.launch import launch
from stream.messages import SourceSpec
from stream.records import Person, Record
from stream.smooth_offline import main, smoothed

FPS = 30.0
SETTINGS = SmoothSettings(gap_s_max=0.4)


def person(index: int, number: int = 1, tracked: str = "seen") -> Person:
    """Somebody who walks to the right by 3 pixels a frame, each keypoint beside the other."""
    rng = np.random.default_rng([index, number])
    points = [(3.0 * index + 5 * at, 100.0 * number) for at in range(17)]
    raw = [
        (x + dx, y + dy) for (x, y), (dx, dy) in zip(points, rng.normal(0, 2, (17, 2)).round(2).tolist(), strict=True)
    ]
    keypoints = [(x + 7, y, 0.8) for x, y in raw]  # as a live smoother left them: late
    return Person(number, 0.9, (3.0 * index, 0.0, 3.0 * index + 100, 200.0), keypoints, raw, tracked)  # type: ignore[arg-type]


def walk(frames: Sequence[int], last: int) -> list[Record]:
    return [record(index, [person(index)] if index in frames else [], FPS) for index in range(last + 1)]


def at(records: Sequence[Record], index: int) -> Person:
    (found,) = records[index].people
    return found


def test_keypoints_come_near_the_truth_and_all_else_stays() -> None:
    records = walk(range(60), 59)
    made = list(smoothed(clip_of(records), SETTINGS))
    truth = np.array([[(3 * index + 5 * at, 100) for at in range(17)] for index in range(60)])
    xy = np.array([[point[:2] for point in at(made, index).keypoints] for index in range(60)])
    raw = np.array([at(records, index).raw_keypoints for index in range(60)])
    assert np.std(xy - truth) < 0.75 * np.std(raw - truth)
    assert abs((xy - truth).mean()) < 0.2  # no lag
    for before, after in zip(records, made, strict=True):
        keypoints = before.people[0].keypoints
        assert structs.replace(after, people=[structs.replace(after.people[0], keypoints=keypoints)]) == before
        assert [point[2] for point in after.people[0].keypoints] == [0.8] * 17


def test_a_short_gap_is_filled_and_a_long_one_is_not() -> None:
    seen = [*range(20), *range(28, 40), *range(60, 70)]
    made = list(smoothed(clip_of(walk(seen, 75)), SETTINGS))
    assert [each.index for each in made if each.people] == [*range(40), *range(60, 70)]
    assert {each.index for each in made for person in each.people if person.tracked == "filled"} == set(range(20, 28))
    filled = at(made, 24)
    assert filled.id == 1
    assert filled.box == pytest.approx((72, 0, 172, 200))
    off = np.array([point[:2] for point in filled.keypoints]) - [(72 + 5 * at, 100) for at in range(17)]
    assert abs(off.mean(0)).max() < 1.5
    assert filled.score == pytest.approx(0.9)


def test_doing_it_twice_is_doing_it_once() -> None:
    records = walk([*range(20), *range(28, 40)], 45)
    once = list(smoothed(clip_of(records), SETTINGS))
    assert list(smoothed(clip_of(once), SETTINGS)) == once


def test_nothing_is_bridged_where_the_clock_breaks() -> None:
    records = walk([*range(10), *range(13, 20)], 19)
    broken = [structs.replace(each, epoch=int(each.index >= 12)) for each in records]
    made = list(smoothed(clip_of(broken), SETTINGS))
    assert [each.index for each in made if each.people] == [*range(10), *range(13, 20)]


def test_people_do_not_mix_and_stay_in_the_order_of_ids() -> None:
    both = [record(index, [person(index, 1), person(index, 2)], FPS) for index in range(30)]
    made = list(smoothed(clip_of(both), SETTINGS))
    alone = [record(index, [person(index, 2)], FPS) for index in range(30)]
    assert [each.people[1] for each in made] == [each.people[0] for each in smoothed(clip_of(alone), SETTINGS)]
    assert all([each.id for each in record.people] == [1, 2] for record in made)


def test_who_was_only_predicted_counts_for_nothing() -> None:
    records = walk(range(40), 39)
    far = structs.replace(person(20, tracked="predicted"), raw_keypoints=[(900.0, 900.0)] * 17)
    records[20] = structs.replace(records[20], people=[far])
    after = at(list(smoothed(clip_of(records), SETTINGS)), 20)
    assert after.tracked == "predicted"
    assert after.keypoints[0][:2] == pytest.approx((60, 100), abs=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run over 12 dark frames, its records replaced by those of somebody who walks."""
    folder = tmp_path_factory.mktemp("run")
    clip = write_video(folder / "clip.mp4", [np.full((240, 320, 3), 20, np.uint8)] * 12)
    one_thread = ["runtime.transport=inproc", "runtime.groups=[[decode, infer, nms, track, records, render, video]]"]
    settings = load(None, one_thread, {"engine.model": "lite", "engine.backend": "eager", "video.save": False})
    _, failure = launch(settings, [SourceSpec("clip", "file", str(clip), str(folder))], lambda: 0, lambda _: None)
    assert failure is None
    write_records(folder / "keypoints.jsonl", walk([0, 1, 2, 3, 7, 8, 9, 10, 11], 11))
    return folder


def bright(path: Path) -> list[bool]:
    with av.open(str(path)) as container:
        return [bool((frame.to_ndarray(format="rgb24")[60:150].max()) > 120) for frame in container.decode(video=0)]


def test_the_command_writes_records_and_an_overlay_with_the_gap_filled(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(run), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [
        f"{out}/{name}" for name in ("keypoints.jsonl", "overlay.mp4", "run.json")
    ]
    assert [len(each.people) for each in open_run(out)] == [1] * 12
    assert bright(out / "overlay.mp4") == [True] * 12
    written = json.loads((out / "run.json").read_text())
    assert written["source"]["outputs"] == ["overlay.mp4", "keypoints.jsonl"]
    assert written["run"]["notes"][-1] == "smoothed offline"
    assert {path.name for path in out.iterdir()} == {"keypoints.jsonl", "overlay.mp4", "run.json"}


def test_a_source_that_moved_is_asked_for(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "run"
    moved.mkdir()
    (moved / "keypoints.jsonl").write_bytes((run / "keypoints.jsonl").read_bytes())
    content = msgspec.json.decode((run / "run.json").read_bytes())
    content["source"]["uri"] = str(tmp_path / "gone.mp4")
    (moved / "run.json").write_bytes(msgspec.json.encode(content))
    assert main([str(moved)]) == 3
    assert "gone.mp4: no such file; check the path; --source FILE says where it is now" in capsys.readouterr().err
    assert main([str(moved), "--source", str(run / "clip.mp4")]) == 0
    assert main([str(moved), "--no-video", "--out", str(tmp_path / "b")]) == 0
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"keypoints.jsonl", "run.json"}


def test_a_camera_cannot_be_read_again(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = msgspec.json.decode((run / "run.json").read_bytes())
    content["source"]["uri"] = "rtsp://camera/1"
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(content))
    write_records(tmp_path / "keypoints.jsonl", walk([0], 1))
    assert main([str(tmp_path)]) == 3
    assert "rtsp://camera/1 cannot be read again; give a recording with --source, or --no-video" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "holds no run.json; name the folder of a source"), ("{}", "run.json is no run.json of this version")],
)
def test_a_folder_of_no_run_is_refused(
    content: str | None, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content:
        (tmp_path / "run.json").write_text(content)
    assert main([str(tmp_path)]) == 3
    assert text in capsys.readouterr().err


def test_a_run_can_smooth_offline_by_itself_and_draws_what_it_smoothed(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    make_walkers(clip, people=1, seconds=0.7)
    one_thread = ["runtime.transport=inproc", "runtime.groups=[[decode, infer, nms, track, records, render, video]]"]
    made = {}
    for method in ("none", "offline"):
        changes = {"engine.model": "lite", "engine.backend": "eager", "smooth.method": method}
        folder = tmp_path / method
        folder.mkdir()
        spec = SourceSpec("clip", "file", str(clip), str(folder))
        summary, failure = launch(load(None, one_thread, changes), [spec], lambda: 0, lambda _: None)
        assert failure is None
        assert summary.sources[0].outputs == ["overlay.mp4", "keypoints.jsonl"]
        made[method] = open_run(folder)
    raw, smooth = list(made["none"]), list(made["offline"])
    assert sum(len(each.people) for each in raw) > 5
    assert smooth == list(smoothed(made["none"], SmoothSettings()))
    assert smooth != raw
    assert len(bright(tmp_path / "offline" / "overlay.mp4")) == 21


def test_a_live_source_cannot_be_smoothed_offline() -> None:
    command = [sys.executable, "run_pipeline.py", "--source", "rtsp://127.0.0.1:9/a", "--smooth", "offline"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "posestream: --smooth offline needs recordings; of a live source --smooth one-euro has the least lag\n",
    )
