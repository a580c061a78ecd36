"""What may stand behind `--source`: files, folders and globs to a list of sources."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from configs.errors import ConfigError, SourceError
from stream.address import printable, uri_of
from stream.message_file import ENDING
from stream.messages import SourceSpec
from stream.sources.folder import ALL, Wanted, counted, file_name, in_folder
from stream.sources.named import Found, live_found
from stream.sources.replay import recorded_sources
from stream.sources.streams_list import named_source, read_streams
from stream.sources.table import ENDINGS, Row, read_table


def find(
    sources: Sequence[str],
    realtime: bool = False,
    allow_pipe: bool = False,
    taken: Iterable[str] = (),
    name: str = "",
    wanted: Wanted = ALL,
) -> list[SourceSpec]:
    """The sources that are meant, in order, names unique.

    A folder stands for what `in_folder` finds. A file named by itself is taken whatever its ending. What `live_found`
    knows is live. A .streams file and a table of `read_table` stand for the sources in them, a .psm file for those
    whose messages it holds. NAME=SOURCE gives a source a name.

    Args:
        sources: as typed.
        realtime: files and folders are played at their own clock, as if they were live.
        allow_pipe: a path may be a named pipe.
        taken: names that others have.
        name: how a source is to be called; empty: as its address says.
        wanted: which files of folders and globs.

    Raises:
        ConfigError: an empty name, or a list that cannot be used.
        SourceError: one of them is none.
    """
    if any(source.endswith(ENDING) for source in sources):
        return _recorded(sources)
    found = [each for source in sources for each in _listed(source, allow_pipe, wanted)]
    names = set(taken)
    unique = []
    for kind, uri, said, start_s, end_s in found:
        stem = free = name or said
        number = 1
        while free in names:
            number += 1
            free = f"{stem}-{number}"
        names.add(free)
        at_its_clock = realtime and kind in ("file", "images")
        unique.append(SourceSpec(free, kind, uri, start_s=start_s, end_s=end_s, realtime=at_its_clock))
    return unique


def _recorded(sources: Sequence[str]) -> list[SourceSpec]:
    if len(sources) > 1:
        raise ConfigError(f"a {ENDING} file is replayed alone; give no other --source")
    path = os.path.expanduser(sources[0])
    return [SourceSpec(name, "messages", uri_of(path)) for name in recorded_sources(path)]


def _listed(source: str, allow_pipe: bool, wanted: Wanted) -> list[Found]:
    """What one source stands for; of a list the sources in it, under the names that it gives."""
    if source.endswith(".streams"):
        named = read_streams(source)
        return [each._replace(name=name or each.name) for name, one in named for each in _one(one, allow_pipe, wanted)]
    if source.endswith(ENDINGS):
        return [each for row in read_table(source) for each in _of_row(row, allow_pipe, wanted)]
    name, named_one = ("", source) if os.path.lexists(os.path.expanduser(source)) else named_source(source)
    return [each._replace(name=name or each.name) for each in _one(named_one, allow_pipe, wanted)]


def _of_row(row: Row, allow_pipe: bool, wanted: Wanted) -> list[Found]:
    """What a row stands for. A file that cannot be used is told when its turn comes, and harms no other."""
    is_file = live_found(row.source, allow_pipe) is None and not os.path.isdir(row.source)
    path = Path(row.source)
    found = [Found("file", uri_of(str(path)), file_name(path))] if is_file else _one(row.source, allow_pipe, wanted)
    return [each._replace(name=row.name or each.name, start_s=row.start_s, end_s=row.end_s) for each in found]


def _one(source: str, allow_pipe: bool, wanted: Wanted) -> list[Found]:
    if not source:
        raise ConfigError("--source is empty; give a file, a folder, a glob, a camera or an address")
    if (live := live_found(source, allow_pipe)) is not None:
        return [live]
    path = os.path.expanduser(source)
    if os.path.isdir(path):
        return in_folder(Path(path), wanted)
    if not os.path.lexists(path) and glob.has_magic(source):
        return _matching(source, path, wanted)
    _check_file(Path(path))
    return [Found("file", uri_of(path), file_name(Path(path)))]


def _matching(source: str, path: str, wanted: Wanted) -> list[Found]:
    matches = sorted(filter(wanted.takes, glob.glob(path, recursive=True)), key=counted)
    if not matches:
        raise SourceError(f"{printable(source)}: no file matches")
    if len(matches) == 1:
        return _one(matches[0], False, wanted)
    files = [Path(match) for match in matches if os.path.isfile(match)]
    return [Found("file", uri_of(str(file)), file_name(file)) for file in files]  # a bad one is told at its turn


def _check_file(path: Path) -> None:
    label = printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            pipe = "; a named pipe needs --allow-pipe" if stat.S_ISFIFO(status.st_mode) else ""
            raise SourceError(f"{label}: not a regular file; give a video file, a folder or a glob{pipe}")
        if status.st_size == 0:
            raise SourceError(f"{label}: the file is empty")
        with path.open("rb"):
            return
    except FileNotFoundError:
        raise SourceError(f"{label}: no such file; check the path") from None
    except SourceError:
        raise
    except OSError as error:
        raise SourceError(f"{label}: cannot be read: {error.strerror}") from None
