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
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from configs.errors import EngineError
from engines.weights.zoo import Entry

Progress = Callable[[int, int | None], None]
"""Told how many bytes are there, and of how many; None: unknown. The last time both are the same."""

_TIMEOUT_S: Final = 10.0
"""To connect, and for each piece of the answer."""
_ATTEMPTS: Final = 5
"""Of which all but the last brought something."""
_CHUNK: Final = 1 << 20
_SAID_EACH_S: Final = 5.0
"""How often a terminal is told of a download of unknown length."""


def fetch(entry: Entry, folder: Path, progress: Progress) -> Path:
    """Path of a published file in a folder, downloaded if missing. Other processes that ask meanwhile wait.

    POSESTREAM_OFFLINE=1 in the environment forbids the network; its http_proxy, https_proxy and no_proxy are obeyed.

    Raises:
        EngineError: it is another file, or it cannot be downloaded; says where it may be put by hand.
    """
    path = folder / entry.file
    if _is_there(path):
        return _checked(entry, path)
    if _is_set("POSESTREAM_OFFLINE"):
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


def on_stderr(name: str, clock_s: Callable[[], float] = time.monotonic) -> Progress:
    """Progress reporter that writes lines to stderr: at begin and end, on a terminal also in between.

    POSESTREAM_QUIET=1 in the environment forbids them.

    Args:
        name: of the weights.
        clock_s: gives seconds, from any beginning on.
    """
    quiet, last = _is_set("POSESTREAM_QUIET"), -1

    def show(done: int, total: int | None) -> None:
        nonlocal last
        step = 10 * done // total if total else int(clock_s() / _SAID_EACH_S)
        terminal = sys.stderr.isatty()
        if not quiet and (last < 0 or done == total or (terminal and step != last)):
            of = f" of {total >> 20}" if total else ""
            # Another process may have a line on this terminal that it writes over and over: this one takes its place,
            # at once and with its end, and stays above it.
            begin = "\r\x1b[2K" if terminal else ""
            print(f"{begin}downloading weights {name}: {done >> 20}{of} MiB\n", end="", file=sys.stderr, flush=True)
        last = step

    return show


def _download(entry: Entry, path: Path, progress: Progress) -> None:
    part = _part(path)
    for attempt in range(1, _ATTEMPTS + 1):
        begun = _size(part)
        try:
            resumed = _receive(entry.url, part, progress)
        except (http.client.HTTPException, OSError, ValueError) as error:
            brought_more = _size(part) > begun
            if attempt == _ATTEMPTS or not brought_more:
                raise _failed(entry, path, _reason(error)) from None  # its own words may hold a password
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
        ValueError: an address or an answer cannot be understood.
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
        done = _begin_of(answer, begun)
        total = None if answer.length is None else done + answer.length
        with part.open("ab" if done else "wb") as file:
            _copy(answer, file, done, total, progress)
    return done > 0


def _begin_of(answer: http.client.HTTPResponse, begun: int) -> int:
    """Offset in bytes that a response begins at: 0, or the one that was asked for.

    Raises:
        OSError: it begins elsewhere, or holds nothing; what there is must not be touched.
    """
    if answer.status == http.client.OK:
        return 0
    if answer.status == http.client.PARTIAL_CONTENT and _starts_at(answer.headers.get("Content-Range", "")) == begun:
        return begun
    raise ConnectionError(f"the server says {answer.status} and does not go on at byte {begun}")


def _copy(answer: http.client.HTTPResponse, file: IO[bytes], done: int, total: int | None, progress: Progress) -> None:
    progress(done, total)
    while chunk := answer.read1(_CHUNK):  # not read: of a connection that falls silent it gives nothing back
        file.write(chunk)
        done += len(chunk)
        if done != total:  # the last word is for when its hash is known
            progress(done, total)
    file.flush()
    os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


class _OnlyHttps(HTTPRedirectHandler):
    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage) -> Any:
        """Let go of the connection also where nobody can tell where it leads to."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except ValueError:
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        """Follow to https only, as the address itself has to be."""
        if not _trusted(newurl):
            fp.close()
            parts = urlsplit(newurl)  # of which the rest may hold a password or a signature
            raise URLError(f"it leads to {parts.scheme}://{parts.hostname}, which is no https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    # Nobody stands between this machine and itself, so a server on it may speak plainly: the tests' own does.
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from error
    return True


def _checked(entry: Entry, path: Path) -> Path:
    try:
        found = entry.digest_of(path)
    except OSError as error:
        raise _unreadable(path, error) from error
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
        # The words that come with a redirect hold the whole address.
        said = "and leads nowhere" if 300 <= error.code < 400 else _line(error.reason)
        return f"the server says {error.code} {said}"
    if isinstance(error, URLError):
        return _reason(error.reason) if isinstance(error.reason, Exception) else _line(str(error.reason))
    if isinstance(error, TimeoutError):
        return f"no answer for {_TIMEOUT_S:.0f} s"
    if isinstance(error, OSError):  # before ValueError: a certificate that is not trusted is both
        return _line(error.strerror or str(error)) or type(error).__name__
    if isinstance(error, ValueError | http.client.InvalidURL):
        return "the address of a proxy, or what the server says, is malformed"
    return _line(str(error)) or type(error).__name__


def _line(text: str) -> str:
    """Foreign text as part of one line, without characters that control a terminal."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _unreadable(path: Path, error: OSError) -> EngineError:
    return EngineError(
        f"weights file {path} cannot be read: {_reason(error)}; mend that, or set XDG_CACHE_HOME to another folder"
    )


def _failed(entry: Entry, path: Path, reason: str) -> EngineError:
    return EngineError(
        f"weights {entry.name} cannot be downloaded from {entry.url}: {reason}; download it by other means to {path}"
    )
