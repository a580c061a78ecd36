"""What a run says of its outputs, where an older run's lie in the same folder."""

from __future__ import annotations

import importlib.metadata
import json
import time
from pathlib import Path

import numpy as np
import pytest
from media import write_video
from numbered import sources

from configs.errors import SourceError
from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.messages import SourceSpec
from stream.runtime.progress import Progress

OLD = {"overlay.mp4": b"old film", "keypoints.jsonl": b"old line\n", "run.json": b"old summary"}


@pytest.fixture
def spec(tmp_path: Path) -> SourceSpec:
    """A clip of three frames, its folder full."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, content in OLD.items():
        (folder / name).write_bytes(content)
    clip = write_video(tmp_path / "clip.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    return SourceSpec("clip", "file", str(clip), str(folder))


def settings(weights: str) -> Settings:
    one_thread = ["runtime.transport=inproc", "runtime.groups=[[decode, infer, nms, track, records, render, video]]"]
    fixed = {"engine.model": "lite", "engine.backend": "eager", "video.save": False}
    return load(None, one_thread, {**fixed, "engine.weights": weights})


def contents(spec: SourceSpec) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(spec.folder).iterdir()}


def test_a_run_whose_engine_fails_leaves_an_older_run_alone(spec: SourceSpec) -> None:
    summary, failure = launch(settings("no.pth"), [spec], lambda: 0, lambda _: None)
    assert str(failure) == "no weights file no.pth"
    assert summary.sources[0].outputs == []
    assert contents(spec) == OLD


def test_a_source_that_cannot_be_read_is_refused_before_the_engine_loads_and_an_older_run_left_alone(
    spec: SourceSpec,
) -> None:
    Path(spec.uri).write_bytes(b"no video")
    with pytest.raises(SourceError, match="not a video that can be read"):
        launch(settings("no.pth"), [spec], lambda: 0, lambda _: None)
    assert contents(spec) == OLD


def test_a_source_that_cannot_be_read_among_others_is_named_when_its_turn_comes(
    spec: SourceSpec, tmp_path: Path
) -> None:
    bad = SourceSpec("bad", "file", str(tmp_path / "bad.mp4"), str(tmp_path / "bad"))
    Path(bad.uri).write_bytes(b"no video")
    Path(bad.folder).mkdir()
    summary, failure = launch(settings("auto"), [bad, spec], lambda: 0, lambda _: None)
    assert failure is None
    assert [(source.frames, source.unusable) for source in summary.sources] == [(0, True), (3, False)]
    assert list(Path(bad.folder).iterdir()) == []


def test_only_what_this_run_has_written_is_listed(spec: SourceSpec) -> None:
    summary, _ = launch(settings("auto"), [spec], lambda: 0, lambda _: None)
    assert summary.sources[0].outputs == ["keypoints.jsonl"]
    now = contents(spec)
    assert now["overlay.mp4"] == OLD["overlay.mp4"]
    assert now["keypoints.jsonl"].count(b"\n") == 3
    assert json.loads(now["run.json"])["source"]["outputs"] == ["keypoints.jsonl"]


def recorded(*counts: int, folder: Path, watch=lambda _: None):
    specs = sources(folder, *counts)
    inproc = load(None, ["runtime.transport=inproc", "video.save=false"])
    return specs, *launch(inproc, specs, lambda: 0, watch, "numbered:Recorded")


def test_each_source_has_figures_of_its_own_as_soon_as_it_ends(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    def watch(progress: Progress) -> None:
        seen.append({path.parent.name for path in tmp_path.glob("*/run.json")} - set(progress.ended))
        if "s1" in progress.ended and "s2" not in progress.ended:
            assert {path.parent.name for path in tmp_path.glob("*/run.json")} == {"s0", "s1"}
            seen.append({"while others run"})

    began_s = time.monotonic()
    specs, summary, failure = recorded(12, 25, 29, folder=tmp_path, watch=watch)
    took_s = time.monotonic() - began_s
    assert failure is None
    assert {"while others run"} in seen
    files = [json.loads((Path(spec.folder) / "run.json").read_text())["source"] for spec in specs]
    assert [(file["frames"], file["people"]) for file in files] == [(12, 12), (25, 25), (29, 29)]
    for file in files:
        assert file["fps"] == pytest.approx(file["frames"] / file["seconds"], rel=0.02)
        assert file["seconds"] >= 5e-3 * file["frames"]
        assert {name: stage["frames"] for name, stage in file["stages"].items()}["track"] == file["frames"]
    assert summary.frames == 66
    assert summary.fps == pytest.approx(66 / summary.seconds, rel=0.01)
    assert 66 * 5e-3 <= summary.seconds <= took_s


def test_a_run_that_breaks_says_how_far_it_came(tmp_path: Path) -> None:
    specs, summary, failure = recorded(12, 100, folder=tmp_path)
    assert "the network broke" in str(failure)
    lines = (Path(specs[1].folder) / "keypoints.jsonl").read_bytes().count(b"\n")
    file = json.loads((Path(specs[1].folder) / "run.json").read_text())["source"]
    assert (file["frames"], file["complete"]) == (lines, False) == (30, False)
    assert summary.sources[0].complete
    assert summary.frames == 42


def test_a_summary_that_cannot_be_written_is_told_after_the_run_which_can_be_done_again(tmp_path: Path) -> None:
    (tmp_path / "s0" / "run.json").mkdir(parents=True)
    spec = SourceSpec("s0", "file", "5", str(tmp_path / "s0"))
    settings = load(None, ["runtime.transport=inproc", "video.save=false"])
    summary, failure = launch(settings, [spec], lambda: 0, lambda _: None, "numbered:Recorded")
    assert summary.frames == 5
    assert failure is not None
    assert failure.exit_code == 5
    assert str(failure).endswith("run.json cannot be written: Is a directory; free space or choose another --output")
    assert sorted(path.name for path in (tmp_path / "s0").iterdir()) == [".segments", "keypoints.jsonl", "run.json"]
    (tmp_path / "s0" / "run.json").rmdir()
    assert launch(settings, [spec], lambda: 0, lambda _: None, "numbered:Recorded")[1] is None
    assert sorted(path.name for path in (tmp_path / "s0").iterdir()) == ["keypoints.jsonl", "run.json"]


def test_a_package_under_another_name_does_not_end_a_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "opencv-python":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    _, summary, failure = recorded(3, folder=tmp_path)
    assert failure is None
    assert summary.run.versions["opencv-python"] == "unknown"


def test_what_a_live_source_offered_was_delivered_or_is_counted(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    clip = write_video(tmp_path / "clip.mp4", [np.full((48, 64, 3), 6 * n, np.uint8) for n in range(40)])
    spec = SourceSpec("clip", "file", str(clip), str(tmp_path / "out"), realtime=True)
    slow = load(None, ["runtime.transport=inproc", "engine.backend=eager", "engine.model=lite", "video.save=false"])
    summary, failure = launch(slow, [spec], lambda: 0, lambda _: None)
    assert failure is None
    (source,) = summary.sources
    assert source.frames + sum(source.dropped.values()) == 40
    rows = [json.loads(line) for line in (tmp_path / "out/keypoints.jsonl").read_text().splitlines()]
    assert len(rows) == source.frames
    assert set(source.dropped) <= {"busy", "late"}
    assert all(row["age_ms"] > 0 for row in rows)
