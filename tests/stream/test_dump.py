"""--dump and --source FILE.psm: the stages behind the network run again, and a damaged file is told in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec import structs

from configs.coco import KEYPOINTS
from configs.errors import ConfigError, OutputError, SourceError
from configs.load import load, resolve
from configs.outlets import DumpSettings
from configs.sources import DecodeSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO
from stream.message_file import MessageFileError, MessageReader, MessageWriter
from stream.messages import Begin, Cut, Drop, End, Frame, Message, Poses, SourceSpec, Status
from stream.sinks.dump import Dump, check_dump
from stream.sources.find import find
from stream.sources.replay import recorded_sources, replay
from stream.stage import run_here
from stream.wire import WIRE_VERSION
from tests.drawn import frame

ROOT = Path(__file__).parents[2]


def people(count: int, keypoints: int = 17) -> People:
    rng = np.random.default_rng(count)
    shapes = ((count, 4), (count,), (count, keypoints, 2), (count, keypoints), (count, keypoints))
    return People(*(rng.uniform(0, 1, shape).astype(np.float32) for shape in shapes))


def poses(number: int, source: str = "cam1") -> Poses:
    stamped = structs.replace(frame(number, source), times_ns={"decode": 5_000_000_010, "infer": 5_000_000_030})
    return Poses(stamped, None if number == 3 else people(number % 3))


def run(source: str = "cam1") -> list[Message]:
    spec = SourceSpec(source, "stream", "rtsp://u:secret@host/live?token=secret", "/home/anna/runs/cam1")
    middle: list[Message] = [poses(at, source) for at in range(8)]
    middle[5] = Drop(frame(5, source), "late", "infer")
    return [
        Status(source, "ok"),
        Begin(spec, 128, 96, 25.0, live=True, sound=True),
        *middle,
        Cut(source, 8, {"decode": b"x"}),
        End(source, 8, lost={"busy": 3}),
    ]


def dumped(path: Path, messages: list[Message]) -> bytes:
    assert list(run_here(messages, Dump(DumpSettings(file=str(path)), COCO))) == messages  # all are handed on
    return path.read_bytes()


def replayed(path: Path, decode: DecodeSettings | None = None) -> Iterator[Message]:
    return replay(find([str(path)]), decode or DecodeSettings(), KEYPOINTS, lambda: False)


def lasting(message: Message) -> tuple[object, ...]:
    """What of a message does not tell of the machine, as a text."""
    match message:
        case Poses(one, found):
            arrays = [each.tolist() for each in found.arrays().values()] if found else None
            return "poses", lasting_frame(one), str(arrays)
        case Drop(one, cause, stage):
            return "drop", lasting_frame(one), cause, stage
        case Begin():
            bare = structs.replace(message, spec=SourceSpec(message.spec.name, "file", ""), sound=False)
            return "begin", str(bare)
        case _:
            return (str(message),)


def lasting_frame(one: Frame) -> str:
    return str(structs.replace(one, captured_ns=0, times_ns={}, pixels=None))


def test_what_is_replayed_is_what_was_written_on_black_pictures(tmp_path: Path) -> None:
    messages = [*run(), *run("cam2")]
    data = dumped(tmp_path / "run.psm", messages)
    assert b"secret" not in data
    assert b"anna" not in data
    given = list(replayed(tmp_path / "run.psm"))
    assert [lasting(message) for message in given] == [lasting(message) for message in messages]
    assert [spec.name for spec in find([str(tmp_path / "run.psm")])] == ["cam1", "cam2"]
    shown = [message.frame for message in given if isinstance(message, Poses)]
    assert not any(one.picture.any() for one in shown)
    assert {one.picture.shape for one in shown} == {(96, 128, 3)}
    for one in shown:  # as old as it was
        assert one.times_ns["infer"] - one.times_ns["decode"] == 20
        assert one.times_ns["infer"] - one.captured_ns == 5_000_000_030 - poses(one.index).frame.captured_ns


def test_each_message_is_in_the_file_before_the_next_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "run.psm"
    stage = Dump(DumpSettings(file=str(path)), COCO)
    for count, message in enumerate(run(), 1):
        list(stage.process(message))
        reader = MessageReader(str(path))
        assert len(list(reader.payloads())) == count
        reader.close()
    stage.close()


def test_a_stage_that_was_killed_while_it_wrote_goes_on_behind_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.psm"
    messages = run()
    whole = dumped(path, messages[:5])
    path.write_bytes(whole + dumped(tmp_path / "more.psm", messages)[len(whole) : len(whole) + 30])
    again = [structs.replace(messages[1], again=True), *messages[5:]]
    dumped(path, again)
    assert [lasting(each) for each in replayed(path)] == [lasting(each) for each in [*messages[:5], *again]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given_any(st.data())
def test_a_file_cut_anywhere_is_read_up_to_there(tmp_path: Path, data: st.DataObject) -> None:
    messages = run()
    whole = dumped_once(tmp_path, messages)
    cut = tmp_path / "cut.psm"
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    check_prefix(cut, messages)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given_any(st.data())
def test_a_file_with_a_flipped_bit_is_read_up_to_there(tmp_path: Path, data: st.DataObject) -> None:
    messages = run()
    flipped = bytearray(dumped_once(tmp_path, messages))
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped.psm"
    path.write_bytes(flipped)
    check_prefix(path, messages)


def dumped_once(folder: Path, messages: list[Message]) -> bytes:
    path = folder / "whole.psm"
    return path.read_bytes() if path.exists() else dumped(path, messages)


def check_prefix(path: Path, messages: list[Message]) -> None:
    """The first messages, then an End with a problem of one line; or one line and nothing."""
    try:
        given, refused = list(replayed(path)), ""
    except SourceError as error:
        given, refused = [], str(error)
    if not given:
        assert len(refused.splitlines()) == 1
        assert str(path) in refused
        return
    *before, last = given
    assert isinstance(last, End)
    assert last.problem.startswith(f"{path}: ")
    assert len(last.problem.splitlines()) == 1
    assert [lasting(each) for each in before] == [lasting(each) for each in messages[: len(before)]]
    assert last.frames == sum(isinstance(each, Poses) for each in before)


def written(path: Path, *messages: Message, keypoints: tuple[str, ...] = KEYPOINTS) -> Path:
    writer = MessageWriter(path, keypoints)
    for message in messages:
        writer.write(message)
    writer.close()
    return path


@pytest.mark.parametrize(
    "bad",
    [
        frame(1),  # no run has frames behind the network
        Poses(frame(1, "stranger"), people(1)),
        Poses(frame(1), people(1, keypoints=16)),
        Poses(frame(1), People(**{**vars(people(2)), "boxes": np.zeros((1, 4), np.float32)})),
        Poses(frame(1), People(**{**vars(people(1)), "scores": np.array([np.nan], np.float32)})),
        Poses(structs.replace(frame(1), width=0), people(1)),
        Drop(structs.replace(frame(1), width=100_000, height=100_000), "late"),
        Begin(SourceSpec("cam1", "file", ""), 128, 96, 0.0),
    ],
)
def test_what_no_run_would_give_ends_the_file_there(tmp_path: Path, bad: Message) -> None:
    path = written(tmp_path / "bad.psm", run()[1], poses(0), bad, poses(2))
    *_, last = replayed(path)
    assert isinstance(last, End)
    assert (last.frames, last.problem) == (
        1,
        f"{path}: holds a message that no run gives; what comes before was used",
    )


@pytest.mark.parametrize("name", ["../up", "a/b", "..", "", "x" * 300, "two\nlines"])
def test_a_source_s_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "bad.psm", Begin(SourceSpec(name, "file", ""), 128, 96, 25.0))
    with pytest.raises(SourceError, match="is no name for a folder"):
        recorded_sources(str(path))


def test_other_files_versions_and_skeletons_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.psm").write_bytes(b"RIFF and so on")
    with pytest.raises(SourceError) as error:
        find([str(tmp_path / "other.psm")])
    assert str(error.value) == f"{tmp_path}/other.psm: no file that --dump has written"
    with pytest.raises(SourceError) as error:
        find([str(tmp_path / "none.psm")])
    assert str(error.value) == f"{tmp_path}/none.psm: cannot be read: no such file or directory"
    written(tmp_path / "empty.psm")
    with pytest.raises(SourceError, match="holds no source"):
        find([str(tmp_path / "empty.psm")])
    with pytest.raises(ConfigError) as refused:
        find([str(tmp_path / "empty.psm"), "0"])
    assert str(refused.value) == "a .psm file is replayed alone; give no other --source"
    hand = written(tmp_path / "hand.psm", *run(), keypoints=("thumb",))
    *_, last = replayed(hand)
    assert isinstance(last, End)
    assert last.problem == (
        f"{hand}: its people have other keypoints; give the skeleton settings of that run; what comes before was used"
    )


def test_messages_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("stream.message_file.WIRE_VERSION", 99)
        written(tmp_path / "new.psm", *run())
    with pytest.raises(MessageFileError, match=rf"with messages of version 99; this one reads version {WIRE_VERSION}$"):
        MessageReader(str(tmp_path / "new.psm"))


def test_a_file_is_not_written_over_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "run.psm"
    dump = DumpSettings(file=str(path))
    check_dump(dump, [], overwrite=False)
    dumped(path, run())
    with pytest.raises(OutputError) as error:
        check_dump(dump, [], overwrite=False)
    assert str(error.value) == f"dump {path}: is there already; choose another name or give --overwrite"
    with pytest.raises(OutputError, match="is the source; choose another name"):
        check_dump(dump, find([str(path)]), overwrite=True)
    check_dump(dump, [], overwrite=True)
    assert path.read_bytes() == b""
    with pytest.raises(OutputError, match=r"run.bin: the name should end in \.psm"):
        check_dump(DumpSettings(file=str(tmp_path / "run.bin")), [], overwrite=True)
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        check_dump(DumpSettings(file=f"{path}/x.psm"), [], overwrite=True)
    path.write_bytes(b"something else")
    with pytest.raises(OutputError, match="no file that --dump has written; choose another name"):
        Dump(dump, COCO)


def test_a_dump_stands_behind_the_network_and_a_replay_needs_none(tmp_path: Path) -> None:
    assert load(None, ["dump.file=x.psm"]).stage_groups[2] == ("dump", "nms", "track", "records")
    replays = resolve(load(None, (), {"source.uris": ["x.psm"]}, {}))
    assert replays.stage_groups == [("decode", "nms", "track", "records", "render", "video")]
    with pytest.raises(ConfigError, match="groups have dump behind nms"):
        load(None, ["runtime.groups=[[decode,infer,nms,dump,track,records,render,video]]"])


def test_a_replayed_run_writes_the_same_records(tmp_path: Path) -> None:
    from stream.demo import make_scene

    make_scene(tmp_path / "scene.mp4", people=2, seconds=0.7)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(ROOT / "run_pipeline.py"), "--set", "infer.workers=1", *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)

    for name, live in (("file", []), ("live", ["--realtime"])):
        done = command("scene.mp4", "-o", name, "--no-save", "--dump", f"{name}.psm", *live)
        assert done.returncode == 0, done.stderr
        again = command(f"{name}.psm", "-o", f"{name}-again", "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["sources"][0]["outputs"] == ["overlay.mp4", "keypoints.jsonl"]
        one, other = (lines_of(tmp_path / folder / "keypoints.jsonl") for folder in (name, f"{name}-again"))
        assert one == other
        assert len(one) > 1
    whole = (tmp_path / "file.psm").read_bytes()
    (tmp_path / "cut.psm").write_bytes(whole[: len(whole) // 2])
    cut = command("cut.psm", "-o", "cut", "--no-save", "--quiet")
    assert cut.returncode == 4
    assert [line for line in cut.stderr.splitlines() if "messages; what comes before was used" in line] == [
        cut.stderr.strip()
    ]
    (tmp_path / "head.psm").write_bytes(whole[:40])
    head = command("head.psm")
    assert head.returncode == 3
    assert head.stderr == "posestream: head.psm: cut short in its header\n"


def lines_of(path: Path) -> list[str]:
    """The lines of a file of records, without what tells of the machine's clock."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [json.dumps({key: row[key] for key in row if key not in ("age_ms", "stages_ms")}) for row in rows]
