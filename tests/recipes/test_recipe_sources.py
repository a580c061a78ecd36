"""A recipe reads a file and a published stream alike, prints what happens, and writes an overlay where asked to."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from made_motion import figure, of_people, squat, wave
from media import write_video
from msgspec import structs
from published import publisher, state

from recipes import fitness, zones
from recipes.fitness import Fitness
from recipes.run import Notes, Seen, parser, run
from stream.messages import Frame, Pixels, Tracks
from stream.records import Record
from stream.redraw import tracks_of

FAST = ["--set", "engine.backend=eager", "--set", "engine.imgsz=64"]


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_published_stream_is_watched_until_it_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    three = threading.Event()

    class Watched(Fitness):
        def update(self, record: Record, now_s: float) -> Seen:
            seen = super().update(record, now_s)
            if any("squat 3" in event for event in seen.events):
                three.set()
            return seen

    def publish() -> None:
        for index in itertools.count():
            if three.wait(0.002):
                break
            made = of_people(index, index / 15, [figure(squat(wave(index / 15, 2), 20))])
            outlet.send(structs.replace(made, source="cam1"))
        outlet.tell(state("cam1", "ended"))

    with publisher("tcp://127.0.0.1:*") as outlet:
        thread = threading.Thread(target=publish)
        thread.start()
        out = tmp_path / "seen"
        given = parser("fitness", "").parse_args(["--source", outlet.address, "--name", "cam1", "--output", str(out)])
        try:
            assert run(given, Watched) == 0
        finally:
            three.set()
            thread.join()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines[:3]] == [f"#1 squat {count}" for count in (1, 2, 3)]
    assert lines[-1] == f"{out}/overlay.mp4"
    drawn = pictures(out / "overlay.mp4")
    assert len(drawn) > 60
    assert drawn[20][200:400].max() > 100  # a skeleton on black


def test_a_file_is_watched_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_video(tmp_path / "clip.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 5)
    out = tmp_path / "out"
    line = ["--line", "0.5,1,0.5,0"]
    assert zones.main(["--source", str(clip), "--output", str(out), *line, *FAST]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{out}/overlay.mp4"]
    assert len(pictures(out / "overlay.mp4")) == 5
    assert pictures(out / "overlay.mp4")[2][20:60, 62:66].max() > 130  # the line


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--source", "no.mp4"], 3, "no.mp4: no such file; check the path"),
        (["--source", "tcp://127.0.0.1:9", "--output", "x"], 2, "--output of a published stream needs --name"),
        (["--source", "a.mp4", "--set", "engine.imgsz=1"], 2, "--set: engine.imgsz is 1; "),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fitness.main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"posestream: {text}")


def test_time_does_not_go_back_where_a_stream_s_clock_breaks() -> None:
    times_s = []

    class Clock:
        def update(self, record: Record, now_s: float) -> Seen:
            times_s.append(now_s)
            return Seen()

    notes = Notes(Clock)
    for epoch, pts_s in ((0, 5.0), (0, 6.0), (1, 2.0), (1, 2.5)):
        record = structs.replace(of_people(0, pts_s, []), epoch=epoch)
        pixels = Pixels(np.zeros((2, 2, 3), np.uint8))
        frame = Frame("made", epoch, 0, round(pts_s * 1e9), 0, 0, 640, 480, pixels)
        assert isinstance(next(notes.process(tracks_of(record, frame, 17))), Tracks)
    assert times_s == [5.0, 6.0, 6.0, 6.5]
