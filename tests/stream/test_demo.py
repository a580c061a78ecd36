"""The clip that is made when nobody has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import pytest

from engines.ops.oks import oks_nms
from engines.ops.skeleton import COCO
from engines.pose_engine import PoseEngine, load
from stream.demo import FPS, HEIGHT, WIDTH, make_scene, with_scene
from stream.demo_truth import TRUTH, told
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


def test_its_truth_is_that_of_people_who_cross_leave_and_come_back(demo: Path) -> None:
    frames = json.loads(demo.with_name(TRUTH).read_text())["frames"]
    assert len(frames) == 5 * FPS
    there = [{person["id"] for person in people} for people in frames]
    assert set.union(*there) == {1, 2, 3, 4}
    back = [number for number in range(1, 5) if gaps(number in ids for ids in there)]
    assert back == [3]  # one in three
    middles = [{person["id"]: (person["box"][0] + person["box"][2]) / 2 for person in people} for people in frames]
    assert {middles[at][1] < middles[at][2] for at in range(150) if {1, 2} <= set(middles[at])} == {True, False}


def gaps(there: Iterable[bool]) -> int:
    """How often somebody who was there is away and there again."""
    runs = [present for present, _ in groupby(there)]
    return len([run for run in runs[runs.index(True) :] if not run][: max(0, runs.count(True) - 1)])


def records(clip: Path, changed: Callable[[int, dict], dict | None]) -> Path:
    """The truth of a clip as if it had been found, each person changed; None: not found."""
    truth = json.loads(clip.with_name(TRUTH).read_text())
    path = clip.with_name("found.jsonl")
    with path.open("w") as file:
        for index, people in enumerate(truth["frames"]):
            found = [person for person in (changed(index, dict(each)) for each in people) if person]
            people_found = [
                {
                    "id": person["id"],
                    "score": 1,
                    "box": person["box"],
                    "keypoints": [[x, y, 1] for x, y, _ in person["keypoints"]],
                    "raw_keypoints": [[x, y] for x, y, _ in person["keypoints"]],
                    "tracked": "seen",
                }
                for person in found
            ]
            record = {"source": "demo", "epoch": 0, "index": index, "pts_s": index / FPS, "people": people_found}
            file.write(json.dumps({**record, "width": WIDTH, "height": HEIGHT, "dropped": 0, "flags": []}) + "\n")
    return path


def moved(person: dict, x_px: float) -> dict:
    return person | {"keypoints": [[x + x_px, y, v] for x, y, v in person["keypoints"]]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda index, person: person, "100 % of people found, mean OKS 1.00, IDF1 1.00, 0 id switches"),
        (lambda index, person: moved(person, 2000), "100 % of people found, mean OKS 0.00, IDF1 1.00, 0 id switches"),
        (lambda index, person: None, "0 % of people found, mean OKS -, IDF1 0.00, 0 id switches"),
        (lambda index, person: person | {"id": person["id"] + 10 * (index >= 75)}, "mean OKS 1.00, IDF1 0.5"),
    ],
)
def test_a_run_is_compared_with_the_truth(changed: Callable[[int, dict], dict | None], said: str, demo: Path) -> None:
    assert said in told(demo.with_name(TRUTH), records(demo, changed))


def test_the_bundled_weights_find_most_of_the_drawn_people(demo: Path, engine: PoseEngine) -> None:
    frames = json.loads(demo.with_name(TRUTH).read_text())["frames"][::25]
    found, there = 0, 0
    for people, pixels in zip(frames, pictures(demo)[::25], strict=True):
        (seen,) = engine(pixels[None])
        seen = seen.take(seen.scores > 0.5)
        for person in people:
            x, y = (person["box"][0] + person["box"][2]) / 2, (person["box"][1] + person["box"][3]) / 2
            inside = (seen.boxes[:, :2] < (x, y)).all(1) & (seen.boxes[:, 2:] > (x, y)).all(1)
            there, found = there + (not person["crowd"]), found + (inside.any() and not person["crowd"])
    assert found >= 0.7 * there


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
