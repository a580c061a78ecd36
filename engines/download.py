"""Published weights from the network into a folder, whole or not at all.

A file is received beside its place, goes on where an earlier attempt ended, is hashed, and only then gets its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from engines.errors import EngineError
from engines.zoo import Entry

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many; None: unknown. The last time both are the same."""

_TIMEOUT_S: Final = 10.0
"""To connect, and for each piece of the answer."""
_ATTEMPTS: Final = 5
"""Of which all but the last brought something."""
_CHUNK: Final = 1 << 20


def fetch(entry: Entry, folder: Path, progress: Progress) -> Path:
    """Give a published file in a folder; download it if it is not there. Others who ask meanwhile wait.

    POSESTREAM_OFFLINE=1 in the environment forbids the network; its http_proxy, https_proxy and no_proxy are obeyed.

    Raises:
        EngineError: it is another file, or it cannot be downloaded; says where it may be put by hand.
    """
    path = folder / entry.file
    if path.is_file():
        return _checked(entry, path)
    if os.environ.get("POSESTREAM_OFFLINE", "") not in ("", "0"):
        raise _failed(entry, path, "POSESTREAM_OFFLINE is set")
    if not _trusted(entry.url):
        raise _failed(entry, path, "it is no https address")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Whoever waits shows what the other one has so far.
        with _locked(folder / f"{entry.file}.lock", lambda: progress(_size(_part(path)), None)):
            if not path.is_file():  # another process may have brought it while this one waited
                _download(entry, path, progress)
                return path
    except OSError as error:
        raise _failed(entry, path, _reason(error)) from error
    return _checked(entry, path)


def on_stderr(name: str) -> Progress:
    """Give a progress that is one line on stderr: it grows on a terminal, else it is written at begin and end."""
    last = ""

    def show(done: int, total: int | None) -> None:
        nonlocal last
        of = f" of {total >> 20}" if total else ""
        line = f"downloading weights {name}: {done >> 20}{of} MiB"
        ended = done == total
        if sys.stderr.isatty():
            if line != last or ended:
                # The cursor goes back to the begin, so that whatever is said next covers this line.
                print(line, end="\n" if ended else "\r", file=sys.stderr, flush=True)
        elif not last or ended:
            print(line, file=sys.stderr, flush=True)
        last = line

    return show


def _download(entry: Entry, path: Path, progress: Progress) -> None:
    part = _part(path)
    for attempt in range(1, _ATTEMPTS + 1):
        begun = _size(part)
        try:
            resumed = _receive(entry.url, part, progress)
        except (http.client.HTTPException, OSError) as error:
            brought_more = _size(part) > begun
            if attempt == _ATTEMPTS or not brought_more:
                raise _failed(entry, path, _reason(error)) from error
            continue
        found = entry.digest_of(part)
        if found == entry.digest:
            size = _size(part)
            os.replace(part, path)
            progress(size, size)
            return
        part.unlink()  # what is wrong cannot be mended by more of it
        if not resumed:
            raise _failed(entry, path, f"the {entry.hash_kind} of what came begins {found}, not {entry.digest}")
    raise _failed(entry, path, "it changed while it was received; try again")


def _receive(url: str, part: Path, progress: Progress) -> bool:
    """Append what is missing to `part`; say whether anything of it was kept.

    Raises:
        OSError, HTTPException: it did not come, or not all of it; what came is in `part`.
    """
    begun = _size(part)
    request = Request(url, headers={"User-Agent": "posestream", "Accept-Encoding": "identity"})
    if begun:
        request.add_header("Range", f"bytes={begun}-")
    try:
        answer = build_opener(_OnlyHttps).open(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        with error:
            if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            return True  # there is no more of it: the hash tells whether it is whole
    with answer:
        resumed = begun > 0 and _starts_at(answer.headers.get("Content-Range", "")) == begun
        done = begun if resumed else 0
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else None
        with part.open("ab" if resumed else "wb") as file:
            _copy(answer, file, done, total, progress)
    return resumed


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], done: int, total: int | None, progress: Progress) -> None:
    progress(done, total)
    while chunk := answer.read(_CHUNK):
        file.write(chunk)
        done += len(chunk)
        if done != total:  # the last word is for when its hash is known
            progress(done, total)
    file.flush()
    os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


class _OnlyHttps(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        """Follow to https only, as the address itself has to be."""
        if not _trusted(newurl):
            fp.close()
            raise URLError(f"it leads to {newurl}, which is no https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    # Nobody stands between this machine and itself, so a server on it may speak plainly: the tests' own does.
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


def _checked(entry: Entry, path: Path) -> Path:
    try:
        found = entry.digest_of(path)
    except OSError as error:
        raise EngineError(f"weights file {path} cannot be read: {_reason(error)}") from error
    if found != entry.digest:
        raise EngineError(
            f"weights file {path} is not {entry.name}: its {entry.hash_kind} begins {found}, not {entry.digest}; "
            f"remove it, or put the file from {entry.url} there"
        )
    return path


@contextlib.contextmanager
def _locked(path: Path, told: Callable[[], None]) -> Iterator[None]:
    # The system lets go of it when its holder dies, however that happens.
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _starts_at(content_range: str) -> int | None:
    found = re.match(r"bytes (\d+)-", content_range)
    return int(found[1]) if found else None


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server says {error.code} {error.reason}"
    if isinstance(error, URLError):
        return _reason(error.reason) if isinstance(error.reason, Exception) else str(error.reason)
    if isinstance(error, TimeoutError):
        return f"no answer for {_TIMEOUT_S:.0f} s"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__


def _failed(entry: Entry, path: Path, reason: str) -> EngineError:
    return EngineError(
        f"weights {entry.name} cannot be downloaded from {entry.url}: {reason}; download it by other means to {path}"
    )
