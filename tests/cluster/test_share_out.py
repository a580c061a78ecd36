"""Files are bundled by their bytes, long ones cut; a range of frames is what a whole decoding has there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media import numbered, remux, spoil, write_video
from msgspec import structs

from configs.load import load
from configs.sources import DecodeSettings
from stream.decode import decode
from stream.distributed.share_out import shared_out
from stream.distributed.tasks import Files, Plan
from stream.messages import Frame, SourceSpec
from stream.sources.ranges import frame_ranges

EVERY = 8


@pytest.mark.parametrize("runners", [1, 2, 8])
def test_all_files_are_in_one_task_each_in_order_and_no_task_is_large(runners: int, tmp_path: Path) -> None:
    specs = []
    for at in range(200):
        path = tmp_path / f"{at}.mp4"
        path.write_bytes(b"x" * (1 + at % 7))
        specs.append(SourceSpec(str(at), "file", str(path), str(tmp_path / "out")))
    tasks = shared_out(specs, runners, load(None, ["cluster.split=false"]))
    named = [spec.name for task in tasks if isinstance(task, Files) for spec in task.specs]
    assert named == [spec.name for spec in specs]
    assert len(tasks) >= 4 * runners
    assert max(len(task.specs) for task in tasks if isinstance(task, Files)) <= 64


@pytest.mark.parametrize(("runners", "cut"), [(1, False), (4, True)])
def test_a_file_of_more_than_a_runner_s_share_is_cut(runners: int, cut: bool, tmp_path: Path) -> None:
    specs = []
    for name, size in (("long", 1000), ("short", 10), ("shorter", 1)):
        (tmp_path / name).write_bytes(b"x" * size)
        specs.append(SourceSpec(name, "file", str(tmp_path / name), str(tmp_path / "out")))
    plans = [task.spec.name for task in shared_out(specs, runners, load(None)) if isinstance(task, Plan)]
    assert plans == ["long"] * cut
    begun = [structs.replace(specs[0], states={"decode": b"x"}), *specs[1:]]
    assert not [task for task in shared_out(begun, runners, load(None)) if isinstance(task, Plan)]


def frames(spec: SourceSpec) -> list[tuple[int, int, int, bytes]]:
    messages = decode([spec], DecodeSettings(), lambda: False)
    return [
        (each.index, each.epoch, each.pts_ns, np.ascontiguousarray(each.picture).tobytes())
        for each in messages
        if isinstance(each, Frame)
    ]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize(("start_s", "end_s"), [(None, None), (0.5, 2.5)])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_ranges_decoded_one_by_one_are_the_whole(
    ending: str, start_s: float | None, end_s: float | None, count: int, tmp_path: Path
) -> None:
    path = write_video(tmp_path / f"clip.{ending}", [numbered(n) for n in range(75)], g="12", bf="2")
    spec = SourceSpec("clip", "file", str(path), start_s=start_s, end_s=end_s)
    ranges = frame_ranges(spec, DecodeSettings(), EVERY, count)
    assert len(ranges) <= count
    assert all(each.frames % EVERY == 0 for each in ranges[:-1])
    joined = []
    for each in ranges:
        state = {"decode": each.state} if each.state else {}
        part = frames(structs.replace(spec, states=state, end_s=each.end_s))
        assert (part[0][0], len(part)) == (each.first, each.frames)
        joined += part
    assert joined == frames(spec)


def test_a_file_whose_times_may_come_twice_has_no_ranges(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(n) for n in range(30)])
    stream = remux(clip, tmp_path / "clip.ts", "mpegts")
    assert frame_ranges(SourceSpec("clip", "file", str(stream)), DecodeSettings(), EVERY, 4) == []


def test_ranges_of_a_damaged_file_are_planned_by_its_packets(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [numbered(n) for n in range(30)], g="5")
    damaged = spoil(clip, tmp_path / "bad.mkv", 7)
    assert (
        sum(each.frames for each in frame_ranges(SourceSpec("x", "file", str(damaged)), DecodeSettings(), 8, 9)) == 30
    )
