"""The address of a source: how it travels in messages, and how it is shown to people."""

from __future__ import annotations

import os
import re
import unicodedata
from urllib.parse import quote_from_bytes, unquote_to_bytes

_FILE = "file:"
_NAME_BYTES_MAX = 200
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, separators of lines and paragraphs


def uri_of(path: str) -> str:
    """The path itself or, where it is not valid Unicode, a percent-encoded `file:` URI: messages are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return _FILE + quote_from_bytes(os.fsencode(path))
    return _FILE + quote_from_bytes(os.fsencode(path)) if path.startswith(_FILE) else path


def path_of(uri: str) -> str:
    """The path that `uri_of` was given."""
    return os.fsdecode(unquote_to_bytes(uri.removeprefix(_FILE))) if uri.startswith(_FILE) else uri


def label_of(uri: str) -> str:
    """An address as people and records see it: one printable line without secrets.

    Of a URL the user and password are left out, and each value that follows a "=", for tokens and passwords stand in
    queries and, with some cameras, in paths. All up to the last "@" goes: a password may hold "/", "?" and "@".
    """
    if (
        url := re.fullmatch(r"([a-zA-Z][a-zA-Z0-9+.-]+:(?:[a-zA-Z0-9+.-]+:)*/+)(?:.*@)?(.*)", uri, re.DOTALL)
    ) and not uri.startswith(_FILE):
        user = "***@" if "@" in uri else ""
        return printable(url[1] + user + re.sub(r"=[^&#/;]*", "=***", url[2]))
    return printable(path_of(uri))


def printable(path: str) -> str:
    r"""A path or name as valid Unicode on one line; bytes that are not UTF-8 become \xe9, a line feed \n."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNPRINTABLE else char for char in text
    )


def is_plain(name: str) -> bool:
    """Whether a name can name a folder, and only that."""
    fits = 0 < len(name.encode()) <= _NAME_BYTES_MAX and name not in (".", "..")
    return fits and "/" not in name and "\\" not in name and printable(name) == name
