"""Tables of files: what a row says counts, and all that is wrong is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError, SourceError
from stream.sources.find import find

CSV = '\ufeffsource,name,start,end\r\nclips/a.mp4,,,\r\nclips/a.mp4,again,1:30,2:00\r\n/abs/b.mp4,"b, c",,5\r\n'
JSONL = (
    '{"source": "clips/a.mp4"}\n\n{"source": "clips/a.mp4", "name": "again", "start": "1:30", "end": 120}\n'
    '{"source": "/abs/b.mp4", "name": "b, c", "end": 5}\n'
)


@pytest.mark.parametrize(("name", "text"), [("list.csv", CSV), ("list.jsonl", JSONL)])
def test_each_row_is_a_source_with_its_own_range(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    found = find([str(tmp_path / name)])
    assert [(spec.name, spec.path, spec.start_s, spec.end_s) for spec in found] == [
        ("a", str(tmp_path / "clips/a.mp4"), None, None),
        ("again", str(tmp_path / "clips/a.mp4"), 90, 120),
        ("b, c", "/abs/b.mp4", None, 5),
    ]  # none of these files is there: each is told when its turn comes


def test_rows_may_name_folders_and_addresses(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    for name in ("1.mp4", "2.mp4"):
        (tmp_path / "day" / name).write_bytes(b"x")
    (tmp_path / "list.csv").write_text("source,name\nday,\nrtsp://10.0.0.7/1,yard\n")
    assert [(spec.kind, spec.name) for spec in find([str(tmp_path / "list.csv")])] == [
        ("file", "1"),
        ("file", "2"),
        ("stream", "yard"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "source,fps\na.mp4,3\n", "l.csv: line 2: fps is no column; there are source, name, start, end"),
        ("l.csv", "name\na\n", "l.csv: line 2: lacks source"),
        (
            "l.csv",
            "source,start\na.mp4,soon\n",
            "l.csv: line 2: start: 'soon' is no time; it should be seconds or hh:mm:ss",
        ),
        ("l.csv", "source,start,end\na.mp4,5,2\n", "l.csv: line 2: end 2 s is not after start 5 s"),
        ("l.csv", "source,name\na.mp4,../x\n", "l.csv: line 2: name '../x' cannot be that of a folder"),
        ("l.csv", "source,name\na.mp4,/x\n", "l.csv: line 2: name '/x' cannot be that of a folder"),
        ("l.csv", "source\na.mp4,b,c\n", "l.csv: line 2: a cell too many is no column"),
        ("l.csv", "source\n", "l.csv: names no source"),
        ("l.jsonl", "{\n", "l.jsonl: line 1: not JSON: "),
        ("l.jsonl", "[1]\n", 'l.jsonl: line 1: not an object; expected one as {"source": "clip.mp4"}'),
        ("l.jsonl", '{"source": ""}\n', "l.jsonl: line 1: names no source"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        find([str(tmp_path / name)])
    assert said in str(caught.value)


def test_all_wrong_rows_are_said_but_not_without_end(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("source,end\n" + "a.mp4,never\n" * 25)
    with pytest.raises(ConfigError) as caught:
        find([str(tmp_path / "l.csv")])
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1].endswith("5 further lines are wrong")


def test_a_table_that_cannot_be_read_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.csv: cannot be read: No such file or directory; check the path"):
        find([str(tmp_path / "none.csv")])
    (tmp_path / "x.csv").write_bytes(b"source\n\xff\xfe\n")
    with pytest.raises(SourceError, match=r"x\.csv: is no table of text in UTF-8"):
        find([str(tmp_path / "x.csv")])
