"""A run is scored against truths of each form; what is no truth is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_records import clip_of, record, write_records
from msgspec import structs

from configs.errors import SourceError
from engines.ops.skeleton import COCO
from stream.evaluate import evaluate, main
from stream.export.formats import FORMATS
from stream.records import Person, Record
from stream.truth import read_truth


def person(number: int, index: int, dx: float = 0.0) -> Person:
    """Somebody 100 x 200 pixels large who walks to the right; nothing of them trembles."""
    left = 200.0 * number + 2 * index
    points = [(left + 5 * at + dx, 100.0 + 10 * at, 0.9) for at in range(17)]
    return Person(number, 0.9, (left, 80.0, left + 100, 280.0), points, [point[:2] for point in points], "seen")


TRUE = [record(index, [person(1, index), person(2, index)]) for index in range(20)]


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_records(tmp_path / "true.jsonl", TRUE)


def score(records: list[Record], truth: Path) -> dict[str, float]:
    scores = evaluate(clip_of(records), read_truth(truth, COCO))
    return {name: getattr(scores, name) for name in scores.__dataclass_fields__}


def test_the_truth_itself_is_perfect(truth: Path) -> None:
    scores = score(TRUE, truth)
    assert (scores["frames"], scores["people"]) == (20, 40)
    assert [scores[name] for name in ("hota", "mota", "idf1", "found", "oks")] == pytest.approx([1] * 5)
    assert scores["switches"] == 0
    assert scores["jitter"] == pytest.approx(0, abs=1e-6)
    assert scores["truth_jitter"] == pytest.approx(0, abs=1e-6)


def test_changed_places_lost_people_and_trembling_are_each_seen_where_they_belong(truth: Path) -> None:
    changed = [
        each if each.index < 10 else structs.replace(
            each, people=[structs.replace(each.people[1], id=1), structs.replace(each.people[0], id=2)]
        )
        for each in TRUE
    ]  # fmt: skip
    scores = score(changed, truth)
    assert (scores["switches"], scores["idf1"], scores["found"]) == (2, 0.5, 1)
    assert scores["mota"] == pytest.approx(1 - 2 / 40)
    lost = [structs.replace(each, people=each.people[: 1 + (each.index < 10)]) for each in TRUE]
    assert score(lost, truth)["found"] == pytest.approx(0.75)
    trembling = [record(each.index, [person(1, each.index, 4.0 * (each.index % 2))]) for each in TRUE]
    made = score(trembling, truth)
    assert made["jitter"] == pytest.approx(4 / np.sqrt(100 * 200), rel=0.01)
    assert 0.5 < made["oks"] < 0.99


def test_a_frame_without_a_record_is_a_miss_and_what_was_not_read_is_left_out(truth: Path) -> None:
    assert score([each for each in TRUE if each.index not in (3, 4)], truth)["found"] == pytest.approx(0.9)
    first_half = score(TRUE[:10], truth)
    assert (first_half["frames"], first_half["people"], first_half["found"]) == (10, 20, 1)


def test_mot_challenge_gives_boxes_and_leaves_poses_out(tmp_path: Path) -> None:
    path = FORMATS["mot"].export(clip_of(TRUE), tmp_path, False)
    scores = score(TRUE, path)
    assert scores["hota"] == pytest.approx(1)
    assert np.isnan(scores["oks"])
    assert np.isnan(scores["truth_jitter"])


def test_who_is_ignored_by_mot_challenge_counts_neither_way(tmp_path: Path) -> None:
    rows = []
    for each in TRUE:
        rows += [
            f"{each.index + 1},{p.id},{p.box[0] + 1},{p.box[1] + 1},100,200,{int(p.id == 1)},1,1" for p in each.people
        ]
    (tmp_path / "gt.txt").write_text("\n".join(rows))
    scores = score(TRUE, tmp_path / "gt.txt")
    assert (scores["people"], scores["mota"]) == (20, 1)
    only_the_ignored_found = [structs.replace(each, people=each.people[1:]) for each in TRUE]
    assert score(only_the_ignored_found, tmp_path / "gt.txt")["mota"] == 0


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.json", "{}", "a.json is no truth: Object missing required field `width`"),
        ("gt.txt", "1,2\n", "gt.txt is no truth: not enough values to unpack"),
        (
            "none.txt",
            None,
            "none.txt is no truth: No such file or directory; give a scene.json, a keypoints.jsonl or MOT",
        ),
    ],
)
def test_what_is_no_truth_is_refused(name: str, content: str | None, text: str, tmp_path: Path) -> None:
    if content:
        (tmp_path / name).write_text(content)
    with pytest.raises(SourceError, match=text):
        read_truth(tmp_path / name, COCO)


def test_the_truth_of_another_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gt.txt").write_text("")
    with pytest.raises(SourceError, match="made has no frame of the truth's 0; is it the truth of another clip"):
        evaluate(clip_of(TRUE), read_truth(tmp_path / "gt.txt", COCO))


def test_the_command_prints_a_table_or_json(tmp_path: Path, truth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = write_records(tmp_path / "keypoints.jsonl", TRUE)
    assert main([str(records), "--truth", str(truth)]) == 0
    table = capsys.readouterr().out
    assert table.startswith("20 frames, 40 people in them\nHOTA                  1.000\n")
    assert main([str(tmp_path), "--truth", str(truth), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hota"] == 1.0
    assert main([str(tmp_path)]) == 3
    assert "scene.json is no truth: No such file" in capsys.readouterr().err
