"""Where the outputs of a run go: each source's folder has one owner, and what is there is never overwritten unasked."""

from __future__ import annotations

import fcntl
import os
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from msgspec import structs

from configs.errors import OutputError
from configs.schema import Settings
from stream.job import difference, is_recording, job_of
from stream.messages import SourceSpec
from stream.unfinished import LOCK, clear, is_vacant, left_in

_OTHER_FILES = 512
_WRITTEN = ("overlay.mp4", "keypoints.jsonl", "run.json", "frame.png")


class _InUseError(OutputError):
    """Another run owns the folder."""


@contextmanager
def output_folders(specs: Sequence[SourceSpec], settings: Settings) -> Iterator[list[SourceSpec]]:
    """The sources with a folder each, which no other run can take meanwhile; those left empty are removed again.

    Where the same is being made of a recording, or was, its folder is taken again: see `stream.recovery`.

    Args:
        specs: the sources; an empty uri: it will be made in its folder.
        settings: `output` says where; `source.uris` tells a source named by itself from one that was searched for.

    Raises:
        OutputError: a folder cannot be made, is another run's, or an output would replace a source or become one.
    """
    _allow_open(len(specs))
    with ExitStack() as held:
        placed = []
        for spec, path in zip(specs, _wanted(specs, settings.output.folder), strict=True):
            folder = held.enter_context(_owned(path, _Claim(spec, settings)))
            placed.append(structs.replace(spec, folder=str(folder)))
        _refuse_outputs_as_sources(placed, settings.source.uris)
        yield placed


def _allow_open(count: int) -> None:
    """Let this process hold a lock for each of so many folders, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _OTHER_FILES
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if resource.RLIM_INFINITY != soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _wanted(specs: Sequence[SourceSpec], output: str | None) -> list[Path]:
    if output is None:
        return [Path("runs") / spec.name for spec in specs]
    if not output:
        raise OutputError("--output is empty; give a folder")
    path = Path(os.path.expanduser(output))
    return [path] if len(specs) == 1 else [path / spec.name for spec in specs]


class _Claim:
    """Which of the folders that are there already a source may take."""

    def __init__(self, spec: SourceSpec, settings: Settings) -> None:
        self._spec, self._settings = spec, settings
        self.overwrite = settings.output.overwrite

    def may_take(self, folder: Path) -> bool:
        """Whether it belongs to the source: for it holds what is being made of it, or nothing, or is to be overwritten.

        Raises:
            OutputError: it was named, and what is unfinished there is something else.
        """
        if self.overwrite or is_vacant(folder):
            return True
        left = left_in(folder)
        if left.job is None or not is_recording(self._spec):
            return False
        differs = difference(left.job, job_of(self._spec, self._settings))
        if differs and not left.finished and self._settings.output.folder is not None:
            raise OutputError(
                f"output {folder} holds an unfinished run of another kind: {differs}; --overwrite begins anew, "
                "another --output keeps it"
            )
        return not differs

    def take(self, folder: Path) -> None:
        """Remove what no run is to go on from."""
        if self.overwrite or is_vacant(folder):
            clear(folder)


@contextmanager
def _owned(path: Path, claim: _Claim) -> Iterator[Path]:
    """The folder, or the next of name, name-2, name-3 that may be taken; at the end, if made here, gone if empty."""
    made = list[Path]()
    with ExitStack() as held:
        held.callback(_remove_empty, made)
        for folder in _numbered(path):
            if not _make(folder, made) and not claim.may_take(folder):
                continue
            try:
                held.enter_context(_locked(folder))
            except _InUseError:
                if claim.overwrite or not is_vacant(folder):
                    raise
                continue
            claim.take(folder)
            yield folder
            return


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    if path.name in ("", ".."):
        raise OutputError(f"output {path} is there already; name a new folder or give --overwrite")
    yield from (path.with_name(f"{path.name}-{number}") for number in count(2))


def _remove_empty(made: Sequence[Path]) -> None:
    for each in reversed(made):
        with suppress(OSError):  # it is not empty
            each.rmdir()


def _make(folder: Path, made: list[Path]) -> bool:
    """Make a folder and its parents, noting each that was not there; False: it is there already."""
    try:
        if not folder.parent.exists():
            _make(folder.parent, made)
        folder.mkdir()
    except FileExistsError:
        if folder.is_dir():
            return False
        raise OutputError(f"output {folder} is a file; give a folder with --output") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"output {folder} cannot be made: {reason}; give a folder you may write to with --output"
        ) from None
    made.append(folder)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    try:
        descriptor = lock(path)
    except BlockingIOError:
        owner = path.read_text(errors="replace").strip() if path.exists() else ""
        raise _InUseError(
            f"output {folder} is in use by {owner or 'another run'}; wait for it or choose another --output"
        ) from None
    except OSError as error:
        raise OutputError(
            f"output {folder} cannot be written: {error.strerror}; give a folder you may write to with --output"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def lock(path: Path) -> int:
    """Lock the file at that path, naming the owner in it; its descriptor, which is to be closed once it is unlinked.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    os.ftruncate(descriptor, 0)
                    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                    return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has just removed it: what is locked here is no longer at that path


def _refuse_outputs_as_sources(specs: Sequence[SourceSpec], asked: Sequence[str]) -> None:
    folders = [Path(spec.folder) for spec in specs]
    written = (folder / f"{name}{part}" for folder in folders for name in _WRITTEN for part in ("", ".part"))
    outputs = {_file(path): path for path in written}
    inside = {_file(folder): folder for folder in folders}
    named = {str(Path(os.path.expanduser(uri))) for uri in asked}
    outputs.pop(None, None)
    for spec in (spec for spec in specs if spec.uri):
        if (path := outputs.get(_file(spec.path))) is not None:
            raise OutputError(f"output {path} is the source {spec.label}; choose another --output")
        searched = spec.kind == "images" or str(Path(spec.path)) not in named
        folder = spec.path if spec.kind == "images" else os.path.dirname(spec.path) or "."
        if searched and (path := inside.get(_file(folder))) is not None:
            raise OutputError(
                f"output {path} is the folder that is read: its overlay would be a source of the next run; "
                "choose another --output"
            )


def _file(path: str | Path) -> tuple[int, int] | None:
    """What tells a file or folder from all others, by whatever name; None: it is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
