"""What a run leaves in a recording's output folder so that another one can go on there."""

from __future__ import annotations

import os
import shutil
import zlib
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from configs.errors import OutputError
from stream.job import Job
from stream.messages import Cut
from stream.sinks.output import SEGMENTS, finish, part_of, writing

LOCK = ".posestream.lock"
"""Held by the run that owns the folder. The kernel frees it however the run ends, so the file alone means nothing."""
WRITER = ".posestream.writer"
"""On a cluster: held by the runner that writes there, for the run that owns the folder."""
_MAGIC = b"posestream commit 1\n"
_CRC_BYTES = 4
_REMAINS = {LOCK, WRITER, SEGMENTS, "keypoints.jsonl.part", "overlay.mp4.part", "run.json.part"}


class Commit(Struct, frozen=True):
    """How far a recording is done with, safe against power loss."""

    cut: Cut
    frames: int
    """That have reached the outputs."""
    people: int
    """In all frames."""
    seconds: float
    """That runs have worked on it."""
    of: int | None
    """Frames of the whole recording; None if unknown. An estimate."""


class Left(Struct, frozen=True):
    """What is found in an output folder."""

    job: Job | None = None
    """What was made there; None: nothing that is known of."""
    finished: bool = False
    """Whether it is whole."""
    summary: bytes = b""
    """JSON of a finished source's summary."""


class _RunFile(Struct):
    """What counts here of run.json."""

    source: msgspec.Raw
    job: Job | None = None


class _Outputs(Struct):
    outputs: list[str]


def left_in(folder: Path) -> Left:
    """What an earlier run has left in a folder."""
    with suppress(OSError, msgspec.MsgspecError):
        return Left(msgspec.json.decode((folder / SEGMENTS / "job.json").read_bytes(), type=Job))
    with suppress(OSError, msgspec.MsgspecError):
        file = msgspec.json.decode((folder / "run.json").read_bytes(), type=_RunFile)
        outputs = msgspec.json.decode(file.source, type=_Outputs).outputs
        if file.job is not None and all((folder / name).exists() for name in outputs):
            return Left(file.job, True, bytes(file.source))
    return Left()


def is_vacant(folder: Path) -> bool:
    """Whether nothing is in a folder but what a run has left that was killed before it had done anything."""
    try:
        return set(os.listdir(folder)) <= _REMAINS and left_in(folder).job is None
    except OSError:
        return False


def clear(folder: Path) -> None:
    """Remove what another run could go on from; the outputs stay."""
    (folder / SEGMENTS / "job.json").unlink(missing_ok=True)  # first: without it the rest means nothing
    shutil.rmtree(folder / SEGMENTS, ignore_errors=True)


def write_job(folder: Path, job: Job) -> None:
    """Say what is being made in a folder.

    Raises:
        OutputError: the disk refuses.
    """
    path = folder / SEGMENTS / "job.json"
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        part_of(path).write_bytes(msgspec.json.encode(job))
    finish(path, lasting=False)


def write_commit(folder: Path, commit: Commit) -> None:
    """Replace the last commit by another one, which then lasts.

    Raises:
        OutputError: the disk refuses.
    """
    path = folder / SEGMENTS / "commit"
    body = msgspec.msgpack.encode(commit)
    with writing(path):
        part_of(path).write_bytes(_MAGIC + zlib.crc32(body).to_bytes(_CRC_BYTES, "little") + body)
    finish(path)


def read_commit(folder: Path) -> Commit | None:
    """The last commit in a folder; None if there is none yet.

    Raises:
        OutputError: it is damaged.
    """
    path = folder / SEGMENTS / "commit"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    body = data[len(_MAGIC) + _CRC_BYTES :]
    crc = zlib.crc32(body).to_bytes(_CRC_BYTES, "little")
    if data[: len(_MAGIC) + _CRC_BYTES] == _MAGIC + crc:
        with suppress(msgspec.MsgspecError):
            return msgspec.msgpack.decode(body, type=Commit)
    raise OutputError(f"{path} is damaged, so the run cannot go on; --overwrite begins anew")
