"""Where the page is, by which names it may be asked for, and who may see it."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import psutil

from configs.errors import ConfigError, OutputError, RefusedError
from configs.outlets import WebSettings
from stream.address import printable

TOKEN = "POSESTREAM_WEB_TOKEN"
"""Environment variable that holds the token; the stages' processes inherit it, and no file tells of it."""
_TOKEN_CHARS_MIN = 16
_NEEDED = ("starlette", "uvicorn", "websockets", "prometheus_client")
_SEND_BUFFER_BYTES = 1 << 18  # what lies in it is old when a slow browser gets it
_BACKLOG = 64
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


@dataclass(frozen=True)
class WebAddress:
    """Where the page is."""

    given: str
    """As the user wrote it."""
    ip: str
    port: int
    names: frozenset[str]
    """Hosts by which it may be asked for, in lower case; besides this machine's addresses if it is at all of them."""

    @property
    def beyond(self) -> bool:
        """It can be reached from other machines: a token is needed."""
        return not ipaddress.ip_address(self.ip).is_loopback

    @property
    def is_at_all(self) -> bool:
        """It is at all addresses of this machine."""
        return ipaddress.ip_address(self.ip).is_unspecified

    @property
    def url(self) -> str:
        """What a browser opens."""
        host = next((ip for ip in _own_ips() if ip not in _LOOPBACK), "localhost") if self.is_at_all else self.ip
        return f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"

    def knows(self, host: str) -> bool:
        """Whether a `Host` header, or what follows the scheme of an `Origin`, names this server."""
        found = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:/@\s]+))(?::[0-9]{1,5})?", host.lower())
        name = (found[1] or found[2]) if found else ""
        return name in self.names or (self.is_at_all and name in _own_ips())


class Token:
    """What a browser must know to see the page, and the cookie that tells that it did."""

    def __init__(self, text: str, port: int) -> None:
        """Of the server at that port: browsers keep one set of cookies for all ports of a host."""
        self._text = text.encode()
        self.cookie = f"posestream_{port}"
        """The cookie's name."""
        self.cookie_value = hashlib.sha256(b"posestream " + self._text).hexdigest()

    def is_text(self, given: str) -> bool:
        """Whether that is the token; takes as long for any text."""
        return hmac.compare_digest(self._text, given.encode())

    def is_cookie(self, given: str) -> bool:
        """Whether that is the cookie's value."""
        return hmac.compare_digest(self.cookie_value.encode(), given.encode())


def web_address(settings: WebSettings) -> WebAddress:
    """Parse `[HOST:]PORT`.

    Raises:
        ConfigError: it is none, or no address of this machine.
    """
    given = printable(settings.address or "")
    found = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|\*|[^\[\]:/@\s*]+)?:)?([0-9]{1,5})", settings.address or "")
    if not found or not 0 < int(found[2]) <= 65_535:
        raise ConfigError(f"web {given}: no address; it should be PORT or HOST:PORT, as 8080 or 192.168.1.5:8080")
    host = (found[1] or "127.0.0.1").strip("[]").lower()
    ip = _ip(given, host)
    names = {host, ip, *(name.lower() for name in settings.hosts)}
    at = ipaddress.ip_address(ip)
    if at.is_loopback or at.is_unspecified:
        names |= _LOOPBACK
    if not at.is_loopback:
        me = socket.gethostname().lower()
        names |= {me, f"{me}.local"}
    return WebAddress(given, ip, int(found[2]), frozenset(names))


def token_of(address: WebAddress) -> Token | None:
    """The token of the environment; None: there is none, and everybody on this machine may see the page.

    Raises:
        RefusedError: it cannot be used or is guessed easily, or other machines reach the page and there is none.
    """
    text = os.environ.get(TOKEN, "")
    if text and not re.fullmatch(f"[!-~]{{{_TOKEN_CHARS_MIN},}}", text):
        raise RefusedError(
            f"{TOKEN} is no good token; make it {_TOKEN_CHARS_MIN} ASCII characters or longer, no spaces"
        )
    if not text and address.beyond:
        raise RefusedError(f"web {address.given}: other machines reach it, and there is no token; set {TOKEN}")
    return Token(text, address.port) if text else None


def check_web(settings: WebSettings) -> str:
    """Find out early whether the page can be shown; make a token where one is needed and none is given.

    Raises:
        ConfigError: the address cannot be used, or a library is not installed.
        OutputError: the address cannot be had.
        RefusedError: the token given cannot be used, or is guessed easily.

    Returns:
        The page's address with the token that was made, for the user alone; empty: none was.
    """
    address = web_address(settings)
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"web {address.given}: {', '.join(missing)} is not installed; run: pip install 'posestream[web]'"
        )
    bound(address).close()
    if not address.beyond or os.environ.get(TOKEN):
        token_of(address)
        return ""
    os.environ[TOKEN] = secrets.token_urlsafe(24)
    return f"{address.url}?token={quote(os.environ[TOKEN])}"


def bound(address: WebAddress) -> socket.socket:
    """A listening socket at that address.

    Raises:
        OutputError: the address cannot be had.
    """
    opened = socket.socket(socket.AF_INET6 if ":" in address.ip else socket.AF_INET)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        opened.bind((address.ip, address.port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        reason = error.strerror or error
        raise OutputError(f"web {address.given}: {reason}; choose an address of this machine that is free") from None
    return opened


def _ip(given: str, host: str) -> str:
    host = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host)
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        raise ConfigError(f"web {given}: no such host; give an address of this machine") from None


def _own_ips() -> Sequence[str]:
    """Addresses of this machine, IPv4 first."""
    families = (socket.AF_INET, socket.AF_INET6)
    found = [each for some in psutil.net_if_addrs().values() for each in some if each.family in families]
    return [each.address.partition("%")[0].lower() for each in sorted(found, key=lambda each: each.family)]
