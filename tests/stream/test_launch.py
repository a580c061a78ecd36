"""What a run says of its outputs, where an older run's lie in the same folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from media import write_video

from configs.load import load
from configs.schema import Settings
from stream.launch import launch
from stream.messages import SourceSpec

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


def test_a_source_that_cannot_be_read_leaves_an_older_run_alone(spec: SourceSpec) -> None:
    Path(spec.uri).write_bytes(b"no video")
    summary, failure = launch(settings("auto"), [spec], lambda: 0, lambda _: None)
    assert failure is None
    assert summary.sources[0].outputs == []
    assert summary.sources[0].unusable
    assert contents(spec) == OLD


def test_only_what_this_run_has_written_is_listed(spec: SourceSpec) -> None:
    summary, _ = launch(settings("auto"), [spec], lambda: 0, lambda _: None)
    assert summary.sources[0].outputs == ["keypoints.jsonl"]
    now = contents(spec)
    assert now["overlay.mp4"] == OLD["overlay.mp4"]
    assert now["keypoints.jsonl"].count(b"\n") == 3
    assert json.loads(now["run.json"])["source"]["outputs"] == ["keypoints.jsonl"]
