"""The rendered truck is followed through a video, and drawn where it is."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest

from engines.pose6d.views import seen_from
from recipes import object_pose
from recipes.object_demo import make_demo, view


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_a_video_gets_the_model_drawn_and_poses_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_demo(tmp_path / "truck.mp4", seconds=0.6)
    out = tmp_path / "out"
    assert object_pose.main(["--source", str(clip), "--output", str(out)]) == 0
    *told, path = capsys.readouterr().out.splitlines()
    assert path == f"{out}/overlay.mp4"
    assert len(told) == 2, "at 0 and at 0.5 s"
    for line, time_s in zip(told, (0.0, 0.5), strict=True):
        x, y, z, azimuth, elevation = map(
            float, re.findall(r"truck .* x (\S+) y (\S+) z (\S+) .* azimuth (\S+), elevation (\S+) ", line)[0]
        )
        truth = view(time_s)
        assert (x / 100, y / 100, z / 100) == pytest.approx(truth.translation, abs=0.02)
        true_azimuth, true_elevation = seen_from(truth.rotation)
        assert (azimuth - true_azimuth + 180) % 360 - 180 == pytest.approx(0, abs=4)
        assert elevation == pytest.approx(true_elevation, abs=4)
    before, drawn = pictures(clip), pictures(out / "overlay.mp4")
    assert len(drawn) == len(before) == 18
    changed = np.abs(drawn[9] - before[9]).max(2)[:440] > 60  # above the line of text
    ys, xs = np.nonzero(changed)
    assert changed.sum() > 500
    middle = view(0.3)
    place = middle.camera @ (middle.rotation @ np.array([0, 0, 0.08]) + middle.translation)
    assert (xs.mean(), ys.mean()) == pytest.approx(place[:2] / place[2], abs=40)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--source", "no.mp4"], 3, "no.mp4: no such file; check the path"),
        (["--source", "a.mp4", "--focal", "0"], 2, "--focal is 0; it must be 1 pixel or more"),
        (["--source", "a.mp4", "--focal", "nan"], 2, "--focal is nan; it must be 1 pixel or more"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert object_pose.main(arguments) == code
    assert capsys.readouterr().err == f"posestream: {text}\n"


def test_a_demo_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert object_pose.main(["--demo", str(file / "x")]) == 5
    assert capsys.readouterr().err == (
        f"posestream: {file}/x/truck.mp4 cannot be written: Not a directory; name another folder by --demo\n"
    )
