"""The address of a source: how it travels in messages, and how it is shown to people."""

from __future__ import annotations

import os
import re
import unicodedata
from urllib.parse import quote_from_bytes, unquote_to_bytes

_FILE = "file:"
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
    """An address as people and records see it: one printable line without user, password and query values."""
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", uri):
        return printable(re.sub(r"([?&][^=&#]*=)[^&#]*", r"\1***", re.sub(r"(?<=://)[^/]*@", "***@", uri)))
    return printable(path_of(uri))


def printable(path: str) -> str:
    r"""A path or name as valid Unicode on one line; bytes that are not UTF-8 become \xe9, a line feed \n."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNPRINTABLE else char for char in text
    )
