"""What every request must pass before it reaches the page: verb, host, origin, token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from stream.web.address import Token, WebAddress

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class _Refusal(Exception):
    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


class Guard:
    """An ASGI application that lets through to another what may pass, over HTTP and WebSocket alike.

    Reading is all that there is, so GET is the only verb. Another site's page can make a browser ask for this one: it
    betrays itself by its origin, or by the host if it has its own name resolve to this machine.
    """

    def __init__(self, app: App, address: WebAddress, token: Token | None) -> None:
        self._app, self._address, self._token = app, address, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the application do it."""
        headers = dict(_HEADERS)
        try:
            if cookie := self._check(scope):
                headers["set-cookie"] = cookie
        except _Refusal as refusal:
            await _refuse(scope, refusal, send)
            return

        async def sent(message: MutableMapping[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message["headers"] = [*message.get("headers", ()), *_encoded(headers)]
            await send(message)

        await self._app(scope, receive, sent)

    def _check(self, scope: Scope) -> str:
        """The cookie to be set; empty: none.

        Raises:
            _Refusal: the request may not pass.
        """
        if scope["type"] == "http" and scope["method"] != "GET":
            raise _Refusal(405, "only GET is answered", allow="GET")
        hosts, origins = _all(scope, "host"), _all(scope, "origin")
        if len(hosts) != 1 or not self._address.knows(hosts[0]):
            raise _Refusal(421, "no such host; a name of your own is allowed by --set web.hosts=NAME")
        # A browser's own page has the host that it was asked for; another's page, or a sandbox ("null"), has not.
        own = (f"http://{hosts[0]}".lower(), f"https://{hosts[0]}".lower())
        if any(origin.lower() not in own for origin in origins):
            raise _Refusal(403, "another site may not read this")
        if "cross-site" in _all(scope, "sec-fetch-site") and "navigate" not in _all(scope, "sec-fetch-mode"):
            raise _Refusal(403, "another site may not read this")
        return self._check_token(scope, self._token) if self._token else ""

    def _check_token(self, scope: Scope, token: Token) -> str:
        bearer = [value[7:] for value in _all(scope, "authorization") if value[:7].lower() == "bearer "]
        if any(token.is_text(each.strip()) for each in bearer):
            return ""
        if any(token.is_cookie(value) for value in _cookies(scope, token.cookie)):
            return ""
        query = parse_qs(scope["query_string"].decode("latin-1")) if scope["path"] == "/" else {}
        if any(token.is_text(each) for each in query.get("token", ())):
            return f"{token.cookie}={token.cookie_value}; Path=/; SameSite=Strict; HttpOnly"
        raise _Refusal(
            401, "open the address with ?token= that was said at the start", **{"www-authenticate": "Bearer"}
        )


def _all(scope: Scope, name: str) -> list[str]:
    """Values of a header, which the server gives in lower-case letters."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]


def _cookies(scope: Scope, name: str) -> list[str]:
    found = []
    for header in _all(scope, "cookie"):
        try:
            found += [morsel.value for key, morsel in SimpleCookie(header).items() if key == name]
        except CookieError:
            continue
    return found


def _encoded(headers: MutableMapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _refuse(scope: Scope, refusal: _Refusal, send: Send) -> None:
    """Answer with a line and close the connection: a body that is still to come is not waited for."""
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    body = refusal.text.encode() + b"\n"
    headers = {**_HEADERS, **refusal.headers, "content-type": "text/plain; charset=utf-8", "connection": "close"}
    headers["content-length"] = str(len(body))
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": _encoded(headers)})
    await send({"type": f"{kind}.body", "body": body})
