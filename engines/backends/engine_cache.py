"""Compiled engines on disk: what was not written here, by us, for this very key, is never handed out.

A compiled engine is native code, so a file is proved before anyone reads it: with an HMAC whose secret lies beside the
engines, in a folder that only its owner can enter. https://www.rfc-editor.org/rfc/rfc2104
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

_MAGIC: Final = b"posestream engine 1\n"
_PROOF_BYTES: Final = 32
_SCRATCH: Final = "scratch-"


class CacheError(OSError):
    """The folder or its secret is not ours alone, so nothing in it can be trusted."""


def engine_key(facts: Mapping[str, str]) -> str:
    """Name of the one engine that all these facts lead to: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()


class EngineCache:
    """A folder of engines, kept below a size: what was used longest ago goes first. Several processes may share it."""

    def __init__(self, folder: Path, bytes_max: int = 8 << 30) -> None:
        """Make the folder if there is none.

        Raises:
            CacheError: others can enter the folder or read its secret, or own them.
            OSError: the folder cannot be made or written.
        """
        self.folder = folder
        self.bytes_max = bytes_max
        self.notes: list[str] = []
        """Lines to be shown: the files that were refused, and why."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        _check_ours_alone(folder, os.stat(folder), stat.S_ISDIR)
        self._secret = self._own_secret()

    def load(self, key: str) -> bytes | None:
        """A serialised engine; None if there is none that can be trusted."""
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._refuse(path, error.strerror or "it cannot be opened")
            return None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                self._refuse(path, "it is no ordinary file")
                return None
            head = file.read(len(_MAGIC) + _PROOF_BYTES)
            engine = file.read()
            if not hmac.compare_digest(head, _MAGIC + self._proof(key, engine)):
                self._refuse(path, "it was altered, cut short or not written here")
                return None
            with contextlib.suppress(OSError):  # a folder that can only be read
                os.utime(descriptor)
        return engine

    def load_or_build(self, key: str, build: Callable[[], bytes]) -> bytes:
        """A serialised engine; the first process to ask builds it, others wait and load it.

        Raises:
            OSError: the engine cannot be written.
            Exception: whatever `build` raises; then nothing is kept.
        """
        engine = self.load(key)
        if engine is not None:
            return engine
        with self._locked("lock"):
            engine = self.load(key)  # another process may have built it while this one waited
            if engine is None:
                engine = build()
                self._write(self._path(key), _MAGIC + self._proof(key, engine) + engine)
                self._evict(keep=self._path(key))
        return engine

    def _path(self, key: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", key):
            raise ValueError(f"engine key {key!r} is not one: expected the 64 hexadecimal digits of engine_key()")
        return self.folder / f"{key}.engine"

    def _proof(self, key: str, engine: bytes) -> bytes:
        # The key is proved too: an engine that was renamed is an engine for other weights or another GPU.
        proof = hmac.new(self._secret, key.encode(), "sha256")
        proof.update(engine)
        return proof.digest()

    def _refuse(self, path: Path, reason: str) -> None:
        note = f"warning: engine file {path} is not used: {reason}; it is built anew"
        if note not in self.notes:
            self.notes.append(note)

    def _own_secret(self) -> bytes:
        path = self.folder / "secret"
        if not path.exists():
            with self._locked("secret.lock"):  # not the builders' lock: they hold it for minutes
                if not path.exists():
                    self._write(path, secrets.token_bytes(_PROOF_BYTES))
        _check_ours_alone(path, os.lstat(path), stat.S_ISREG)
        secret = path.read_bytes()
        if len(secret) != _PROOF_BYTES:
            raise CacheError(f"{path} holds {len(secret)} bytes, not {_PROOF_BYTES}: delete {self.folder}")
        return secret

    def _write(self, path: Path, content: bytes) -> None:
        """All or nothing, even when the power fails. Only under the lock: what others left half-written is cleared."""
        for left in self.folder.glob(f"{_SCRATCH}*"):
            left.unlink()
        descriptor, name = tempfile.mkstemp(prefix=_SCRATCH, dir=self.folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)
        directory = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _evict(self, keep: Path) -> None:
        sizes = {path: path.lstat() for path in self.folder.glob("*.engine")}
        total = sum(found.st_size for found in sizes.values())
        for path, found in sorted(sizes.items(), key=lambda item: item[1].st_mtime_ns):
            if total <= self.bytes_max:
                return
            if path != keep:
                path.unlink()
                total -= found.st_size

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        # Closing gives the lock back, and so does the death of the process that holds it.
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _check_ours_alone(path: Path, found: os.stat_result, of_kind: Callable[[int], bool]) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not of_kind(found.st_mode) or found.st_uid != os.geteuid() or mode & 0o077:
        raise CacheError(
            f"{path} must be yours alone, but it is owned by user {found.st_uid} with mode {mode:03o}: "
            "delete it, or change its owner and take the rights of others away"
        )
