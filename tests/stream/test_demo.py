"""The clip that is made when nobody has one."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from engines.ops.oks import oks_nms
from engines.ops.skeleton import COCO
from engines.pose_engine import PoseEngine, load
from stream.demo import FPS, HEIGHT, WIDTH, make_scene, with_scene
from stream.messages import SourceSpec


@pytest.fixture(scope="module")
def engine() -> PoseEngine:
    return load("lite")


def pictures(clip: Path) -> list[np.ndarray]:
    with av.open(clip) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = with_scene(SourceSpec("demo", "file", "", str(tmp_path_factory.mktemp("demo"))))
    assert Path(spec.uri).parent == Path(spec.folder)
    return Path(spec.uri)


def test_the_demo_lasts_five_seconds_and_moves(demo: Path) -> None:
    with av.open(demo) as container:
        assert container.duration == pytest.approx(5_000_000, abs=1e6 / FPS)
        assert container.streams.video[0].codec_context.name == "h264"
    frames = pictures(demo)
    assert len(frames) == 5 * FPS
    assert frames[0].shape == (HEIGHT, WIDTH, 3)
    assert np.abs(frames[0].astype(int) - frames[30]).max() > 100


def test_the_bundled_weights_find_all_three_and_nobody_else(demo: Path, engine: PoseEngine) -> None:
    frames = pictures(demo)[::30]
    for people in engine(np.stack(frames)):
        sure = people.take(oks_nms(people, COCO.sigmas, 0.65))
        sure = sure.take(sure.scores > 0.5)
        middles = np.sort(sure.boxes[:, [0, 2]].mean(1))
        assert middles == pytest.approx([WIDTH / 6, WIDTH / 2, WIDTH * 5 / 6], abs=100)
        assert (sure.confidence[:, :7].mean(1) > 0.5).all()  # face and shoulders; the rest is behind the counter


@pytest.mark.parametrize("people", [1, 2, 6])
def test_a_scene_has_as_many_people_as_asked(people: int, tmp_path: Path, engine: PoseEngine) -> None:
    make_scene(tmp_path / "scene.mp4", people, seconds=2 / FPS)
    first, _ = pictures(tmp_path / "scene.mp4")
    (found,) = engine(first[None])
    found = found.take(oks_nms(found, COCO.sigmas, 0.65))
    assert (found.scores > 0.5).sum() == people


def test_a_scene_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        make_scene(tmp_path / name, people=2, seconds=3 / FPS)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
