"""A table of files, one a row, with what is wanted of each."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, TextIO

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import ConfigError, SourceError
from configs.fields import Time
from stream.address import is_plain, printable

ENDINGS = (".csv", ".jsonl")
_SAID_MAX = 20


class _Columns(BaseModel):
    """What a row may hold; an empty cell says nothing."""

    model_config = ConfigDict(extra="forbid")

    source: str
    name: str = ""
    start: Time | None = None
    end: Time | None = None


class Row(NamedTuple):
    """A file that is meant."""

    source: str
    """Absolute, or relative to the working folder; an address or a camera as it was typed."""
    name: str
    """How the source is to be called; empty: as its file."""
    start_s: float | None
    end_s: float | None


def read_table(path: str) -> list[Row]:
    """The rows of a .csv file, whose first line names its columns, or of a .jsonl file, an object a line.

    Columns are source, and if wanted name, start and end. Paths are relative to the table.

    Raises:
        SourceError: the file cannot be read.
        ConfigError: rows that cannot be used, a line for each; or there is none.
    """
    label = printable(path)
    path = os.path.expanduser(path)
    rows, wrong = [], []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for number, cells in (_lines if path.endswith(".jsonl") else _cells)(file):
                try:
                    rows.append(_row(cells(), os.path.dirname(path)))
                except (ValueError, ValidationError) as error:
                    wrong.append(f"{label}: line {number}: {_said(error)}")
    except OSError as error:
        raise SourceError(f"{label}: cannot be read: {error.strerror}; check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{label}: is no table of text in UTF-8 ({error})") from None
    if wrong:
        more = [f"{label}: {len(wrong) - _SAID_MAX} further lines are wrong"] if len(wrong) > _SAID_MAX else []
        raise ConfigError("\n".join([*wrong[:_SAID_MAX], *more]))
    if not rows:
        raise ConfigError(f"{label}: names no source")
    return rows


def _cells(file: TextIO) -> Iterator[tuple[int, Callable[[], dict[str, object]]]]:
    reader = csv.DictReader(file, restkey="a cell too many")
    for cells in reader:
        said = {(name or "").strip(): value for name, value in cells.items() if value}
        yield reader.line_num, lambda said=said: said  # type: ignore[misc]


def _lines(file: TextIO) -> Iterator[tuple[int, Callable[[], dict[str, object]]]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, lambda line=line: _object(line)  # type: ignore[misc]


def _object(line: str) -> dict[str, object]:
    try:
        cells = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from None
    if not isinstance(cells, dict):
        raise ValueError('not an object; expected one as {"source": "clip.mp4"}')
    return cells


def _row(cells: dict[str, object], folder: str) -> Row:
    row = _Columns.model_validate(cells)
    if not row.source:
        raise ValueError("names no source")
    if row.name and not is_plain(row.name):
        raise ValueError(f"name {row.name!r} cannot be that of a folder")
    if row.end is not None and row.end <= (row.start or 0):
        raise ValueError(f"end {row.end:g} s is not after start {row.start or 0:g} s")
    is_path = "://" not in row.source and not row.source.isdecimal() and row.source != "-"
    source = os.path.join(folder, os.path.expanduser(row.source)) if is_path else row.source
    return Row(source, row.name, row.start, row.end)


def _said(error: ValueError | ValidationError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    column = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"lacks {column}"
    if first["type"] == "extra_forbidden":
        return f"{column} is no column; there are {', '.join(_Columns.model_fields)}"
    return f"{column}: {first['msg'].removeprefix('Value error, ')}"
