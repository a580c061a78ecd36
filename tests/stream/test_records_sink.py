"""A line a frame, as the schema says, to the same byte each time."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest
from msgspec import structs

from configs.errors import OutputError
from engines.ops.people import People, nobody
from stream.messages import Begin, Drop, End, Frame, Message, Pixels, SourceSpec, Tracks
from stream.records import SCHEMA_FILE, record_of, schema
from stream.sinks.records import RecordsSink
from stream.stage import run_here


def tracks(index: int, count: int) -> Tracks:
    rng = np.random.default_rng(index)
    shapes = [(count, 4), (count,), (count, 17, 2), (count, 17), (count, 17)]
    people = People(*(rng.uniform(0, 1, shape).astype(np.float32) for shape in shapes)) if count else nobody()
    pixels = Pixels(np.zeros((2, 2, 3), np.uint8))
    frame = Frame("cam", 0, index, index * 33_366_667, 1, 2, 1280, 720, pixels, ("damaged",), {"busy": 3})
    return Tracks(frame, people, np.arange(1, count + 1), people.keypoints + 100)


def messages(folder: Path) -> list[Message]:
    begin = Begin(SourceSpec("cam", "file", "cam.mp4", str(folder)), 1280, 720, 30.0)
    return [begin, *(tracks(index, index % 3) for index in range(7)), End("cam", 7)]


def test_there_is_a_line_for_every_frame_and_each_fits_the_schema(tmp_path: Path) -> None:
    given = messages(tmp_path)
    assert list(run_here(given, RecordsSink())) == given
    rows = [json.loads(line) for line in (tmp_path / "keypoints.jsonl").read_text().splitlines()]
    assert [(row["index"], len(row["people"])) for row in rows] == [(n, n % 3) for n in range(7)]
    for row in rows:
        jsonschema.validate(row, json.loads(SCHEMA_FILE.read_text()))
    assert next(iter(rows[0])) == "schema"
    assert [path.name for path in tmp_path.iterdir()] == ["keypoints.jsonl"]


def test_a_record_says_how_wide_its_pixels_are_unless_they_are_square() -> None:
    square = tracks(1, 1)
    wide = structs.replace(square, frame=structs.replace(square.frame, pixel_aspect=(64, 45)))
    rows = [json.loads(msgspec.json.encode(record_of(given))) for given in (square, wide)]
    assert "pixel_aspect" not in rows[0]
    assert rows[1] == rows[0] | {"pixel_aspect": [64, 45]}
    jsonschema.validate(rows[1], json.loads(SCHEMA_FILE.read_text()))


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("keypoints", []),
        ("keypoints", [[1.0, 2.0, 1.5]] * 17),
        ("raw_keypoints", [[1.0]] * 17),
        ("score", 1.5),
        ("id", 0),
        ("box", None),
    ],
)
def test_the_schema_refuses_what_is_no_record(part: str, wrong: object) -> None:
    row = json.loads(msgspec.json.encode(record_of(tracks(1, 1))))
    row["people"][0][part] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(row, json.loads(SCHEMA_FILE.read_text()))


def test_a_record_says_what_the_tracks_say() -> None:
    given = tracks(4, 2)
    record = record_of(given)
    assert (record.pts_s, record.width, record.height, record.dropped, record.flags) == (
        0.133467,
        1280,
        720,
        3,
        ["damaged"],
    )
    for at, person in enumerate(record.people):
        assert person.id == at + 1
        assert person.score == pytest.approx(given.people.scores[at], abs=6e-5)
        np.testing.assert_allclose(np.array(person.keypoints)[:, :2], given.smooth[at], atol=6e-3)
        np.testing.assert_allclose(np.array(person.keypoints)[:, 2], given.people.confidence[at], atol=6e-5)
        np.testing.assert_allclose(person.raw_keypoints, given.people.keypoints[at], atol=6e-3)
        np.testing.assert_allclose(person.box, given.people.boxes[at], atol=6e-3)


def test_the_time_of_the_run_leaves_no_trace(tmp_path: Path) -> None:
    for name, clock in (("a", 1), ("b", 10**15)):
        (tmp_path / name).mkdir()
        given = [
            structs.replace(m, frame=structs.replace(m.frame, captured_ns=clock, wall_ns=clock))
            if isinstance(m, Tracks)
            else m
            for m in messages(tmp_path / name)
        ]
        list(run_here(given, RecordsSink()))
    assert (tmp_path / "a/keypoints.jsonl").read_bytes() == (tmp_path / "b/keypoints.jsonl").read_bytes()


def test_a_killed_run_leaves_whole_lines_under_another_name(tmp_path: Path) -> None:
    sink = RecordsSink()
    for message in messages(tmp_path)[:5]:
        list(sink.process(message))
    (part,) = tmp_path.iterdir()
    assert part.name == "keypoints.jsonl.part"
    assert len([json.loads(line) for line in part.read_text().splitlines()]) == 4
    sink.close()


def test_a_folder_that_is_gone_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"gone/keypoints\.jsonl cannot be written: No such file or directory"):
        list(RecordsSink().process(messages(tmp_path / "gone")[0]))


def test_a_full_disk_gives_one_line_and_loses_no_whole_record(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk's end."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, most))
    try:
        with pytest.raises(OutputError, match=r"keypoints\.jsonl cannot be written: File too large; free space"):
            list(run_here(messages(tmp_path), RecordsSink()))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    *whole, _ = (tmp_path / "keypoints.jsonl.part").read_bytes().split(b"\n")
    assert [json.loads(line)["index"] for line in whole] == list(range(len(whole)))
    assert len(whole) >= 2


def test_the_schema_in_the_docs_is_the_code_s() -> None:
    assert SCHEMA_FILE.read_bytes() == schema(), "run: python -m stream.records"


def test_a_live_record_says_how_old_it_is_and_what_was_lost_since_the_last_one(tmp_path: Path) -> None:
    begin = Begin(SourceSpec("cam", "file", "cam", str(tmp_path)), 1280, 720, 30.0, live=True)
    one, two = (structs.replace(tracks(n, 1), frame=structs.replace(tracks(n, 1).frame, dropped={})) for n in (1, 4))
    wall_ns, captured_ns = 1_700_000_000_123_000_000, 10**9
    times = {"decode": captured_ns + 2_000_000, "track": captured_ns + 41_200_000}
    late = structs.replace(two.frame, wall_ns=wall_ns, captured_ns=captured_ns, times_ns=times, dropped={"busy": 2})
    lost = Drop(structs.replace(one.frame, index=2), "late", "infer")
    list(run_here([begin, one, lost, structs.replace(two, frame=late), End("cam", 5)], RecordsSink()))
    first, second = (json.loads(line) for line in (tmp_path / "keypoints.jsonl").read_text().splitlines())
    assert (first["dropped"], first["dropped_by"]) == (0, {})
    assert (second["dropped"], second["dropped_by"]) == (3, {"late": 1, "busy": 2})
    assert (second["wall"], second["age_ms"]) == ("2023-11-14T22:13:20.123Z", 41.2)
    assert second["stages_ms"] == {"decode": 2.0, "track": 41.2}
    for row in (first, second):
        jsonschema.validate(row, json.loads(SCHEMA_FILE.read_text()))


def test_a_file_s_record_says_nothing_of_the_machine_s_clocks() -> None:
    row = json.loads(msgspec.json.encode(record_of(tracks(1, 1))))
    assert not row.keys() & {"wall", "age_ms", "stages_ms", "dropped_by"}


def test_people_who_were_carried_on_are_called_predicted() -> None:
    carried = structs.replace(tracks(1, 2), predicted=True)
    assert [person.tracked for person in record_of(carried).people] == ["predicted"] * 2


def test_records_go_on_where_they_were_when_stages_are_restarted(tmp_path: Path) -> None:
    begin, first, second, *_ = messages(tmp_path)
    sink = RecordsSink()
    for message in (begin, first):
        list(sink.process(message))
    sink.close()
    assert isinstance(begin, Begin)
    list(run_here([structs.replace(begin, again=True), second, End("cam", 2)], RecordsSink()))
    rows = [json.loads(line) for line in (tmp_path / "keypoints.jsonl").read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 1]
