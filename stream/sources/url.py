"""A network address whose text is always redacted."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, urlsplit

from configs.errors import SourceError
from stream.address import label_of

SCHEMES = ("http", "https", "rtmp", "rtmps", "rtsp", "rtsps", "srt", "tcp", "udp")
"""Kinds of address that are read, if FFmpeg was built with them."""
_TRANSPORT = re.compile(r"(?<=[?&])rtsp_transport=(tcp|udp)(&|$)")


class Url:
    """A network address. Its text is redacted; `revealed` is the one way to the whole."""

    __slots__ = ("_parts", "_whole")

    def __init__(self, whole: str) -> None:
        """Parse an address.

        Raises:
            SourceError: its scheme is not read, it has no host, or its port is none.
        """
        self._whole = whole
        try:
            self._parts: SplitResult = urlsplit(whole)
            valid = bool(self._parts.hostname) and self._parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise SourceError(
                f"{label_of(whole)}: not a valid address; it should be scheme://host:port/path, and / ? # @ in a "
                "password %2F %3F %23 %40"
            )
        if self.scheme not in SCHEMES:
            raise SourceError(f"{self}: {self.scheme} is not read; it should be one of {', '.join(SCHEMES)}")

    def __str__(self) -> str:
        return label_of(self._whole)

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    @property
    def scheme(self) -> str:
        """In lower case."""
        return self._parts.scheme

    @property
    def host(self) -> str:
        """Name or address of the host."""
        return self._parts.hostname or ""

    @property
    def has_user(self) -> bool:
        """True if it names a user."""
        return "@" in self._parts.netloc

    @property
    def transport(self) -> str:
        """Value of the query's `rtsp_transport`, which is meant for us and not for the server; empty: not given."""
        found = _TRANSPORT.search(self._whole)
        return found[1] if found else ""

    @property
    def revealed(self) -> str:
        """The address with its secrets, as a server is to be asked; for FFmpeg alone."""
        return _TRANSPORT.sub("", self._whole).rstrip("?&") if self.transport else self._whole

    def with_user(self, user: str, password: str) -> Url:
        """The same address for a user."""
        netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{self._parts.netloc.rpartition('@')[2]}"
        return Url(self._parts._replace(netloc=netloc).geturl())
