"""Live sources of a run that goes on: `python -m stream.control list|add|remove|pause|resume`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from configs.errors import ConfigError, PosestreamError, SourceError
from stream.changes import Pause, Remove, Resume
from stream.control_socket import List, Open, Reply, Request, ask, listens
from stream.live_rows import HEADINGS
from stream.runtime.folder import name_of, named, running
from stream.sources.streams_list import named_source

_ANSWER_S = 10.0
_ADD_S = 60.0  # a source is connected to before it is added


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; the exit code."""
    given = _parser().parse_args(arguments)
    try:
        folder = _run(given.run)
        reply = ask(folder, _request(given), _ADD_S if given.command == "add" else _ANSWER_S)
    except PosestreamError as error:
        reply = Reply(error.exit_code, str(error))
    if reply.exit_code:
        for line in reply.text.splitlines():
            print(f"posestream: {line}", file=sys.stderr)
    elif given.command == "list" and given.json:
        print(json.dumps(msgspec.to_builtins(reply.sources)))
    elif given.command == "list":
        _print_table([HEADINGS, *(figures.row() for figures in reply.sources)])
    elif reply.text:
        print(reply.text)
    return reply.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stream.control", description="Live sources of a run that goes on.")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--run", metavar="NAME", help="Which run, where several go on on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", parents=[every], help="How each source is.")
    listing.add_argument("--json", action="store_true", help="As JSON.")
    add = commands.add_parser("add", parents=[every], help="Read one more source.")
    add.add_argument("source", metavar="[NAME=]SOURCE", help="A camera, an address, a pipe or a .streams list.")
    for command, text in (
        ("remove", "Read a source no further; its outputs are finished."),
        ("pause", "Take no frames of a source; it stays connected."),
        ("resume", "Take its frames again."),
    ):
        commands.add_parser(command, parents=[every], help=text).add_argument("source", metavar="NAME")
    return parser


def _request(given: argparse.Namespace) -> Request:
    match given.command:
        case "list":
            return List()
        case "add":
            return Open(_from_root(given.source))
        case "remove":
            return Remove(given.source)
        case "pause":
            return Pause(given.source)
        case _:
            return Resume(given.source)


def _from_root(source: str) -> str:
    """The source with the whole path of a file: the run works in another folder."""
    name, address = named_source(source)
    path = os.path.expanduser(address)
    if address != "-" and os.path.lexists(path):
        address = os.path.abspath(path)
    return f"{name}={address}" if name else address


def _run(asked: str | None) -> Path:
    """Folder of the run that is meant.

    Raises:
        SourceError: no live run goes on.
        ConfigError: several do.
    """
    if asked is not None:
        return named(asked)
    folders = [folder for folder in running() if listens(folder)]
    if not folders:
        raise SourceError("no live run of this user goes on here")
    if len(folders) > 1:
        runs = ", ".join(f"{name_of(folder)} ({_sources(folder)})" for folder in folders)
        raise ConfigError(f"{len(folders)} runs go on: {runs}; name one with --run")
    return folders[0]


def _sources(folder: Path) -> str:
    reply = ask(folder, List(), _ANSWER_S)
    return " ".join(figures.source for figures in reply.sources) or "no source yet"


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
