"""Who gets nothing: a real server, asked over raw sockets by those who may not."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
from web_made import ask, begin, get, get_json, put, run_figures, source_figures, web

from stream.web.address import TOKEN

GOOD = "a-token-nobody-guesses"
SECRET = "cam-of-the-vault"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BEARER = {"Authorization": f"Bearer {GOOD}"}
VIEW = f"/api/view?source={SECRET}"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a server that wants a token."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv(TOKEN, GOOD)
        sink, port = stack.enter_context(web())
        patch.undo()
        put(sink, begin(SECRET))
        sink.figures(run_figures(source_figures(SECRET)))
        yield port


def test_who_has_the_token_gets_everything(port: int) -> None:
    for path in ("/", "/style.css", "/page.js", "/api/sources", "/api/setup", "/metrics", "/healthz", "/readyz"):
        assert get(port, path, **BEARER)[0] == 200, path
    assert get(port, VIEW, **BEARER, **UPGRADE)[0] == 101
    assert SECRET.encode() in get(port, "/api/sources", **BEARER)[2]


ATTACKS = [
    *((verb, "/", "", BEARER, 405) for verb in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW")),
    ("POST", "/api/sources", "", BEARER, 405),
    ("CONNECT", "evil.example:443", "", BEARER, 405),
    *(
        ("GET", "/api/sources", host, BEARER, 421)
        for host in ("evil.example", "127.0.0.1.evil.example", "0", "a@127.0.0.1")
    ),
    ("GET", VIEW, "evil.example", BEARER | UPGRADE, 421),
    ("GET", "/metrics", "", BEARER | {"HOST": "127.0.0.1"}, 400),  # a second one
    *(
        ("GET", path, "", BEARER | more | {"Origin": origin}, 403)
        for path, more in (("/api/sources", {}), (VIEW, UPGRADE))
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example", "file://")
    ),
    ("GET", "/api/sources", "", BEARER | {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
    *(
        ("GET", path, "", headers, 401)
        for path in ("/api/sources", VIEW)
        for headers in (
            {},
            {"Authorization": "Bearer"},
            {"Authorization": "Bearer a-token-nobody-guesse"},
            {"Authorization": f"Basic {GOOD}"},
            {"Cookie": f"posestream={GOOD}"},
        )
    ),
    ("GET", VIEW, "", UPGRADE, 401),
    ("GET", f"/api/sources?token={GOOD}", "", {}, 401),  # it would stay in histories and logs
    ("GET", "/?token=", "", {}, 401),
    ("GET", "/?token=%00", "", {}, 401),
    *(
        ("GET", path, "", BEARER, 404)
        for path in (
            "/..%2f..%2fetc%2fpasswd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/../../../../etc/passwd",
            "/static/../server.py",
            "//etc/passwd",
            "/style.css/..%2fserver.py",
            "/style.css%00.html",
            "/stream/..%2f..%2frun.json.mjpg",
            "/stream/.mjpg",
            "/..%5c..%5cserver.py",
            "http://evil.example/style.css",
            "/docs",
            "/openapi.json",
        )
    ),
]


@pytest.mark.parametrize(("verb", "path", "host", "headers", "status"), ATTACKS)
def test_who_may_not_gets_a_refusal_and_nothing_else(
    port: int, verb: str, path: str, host: str, headers: dict[str, str], status: int
) -> None:
    got, answered, body = get(port, path, verb, host, **headers)
    assert got == status
    assert SECRET.encode() not in body
    assert b"root:" not in body
    assert len(body) < 200
    assert "set-cookie" not in answered


def test_there_are_more_than_forty_tries() -> None:
    assert len(ATTACKS) >= 40


def test_the_token_in_the_address_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(port: int) -> None:
    status, headers, page = get(port, f"/?token={GOOD}")
    assert status == 200
    assert b"<title>posestream" in page
    cookie, *rest = headers["set-cookie"].split("; ")
    assert sorted(rest) == ["httponly", "path=/", "samesite=strict"]
    assert GOOD not in cookie
    assert get(port, "/api/sources", Cookie=f"other=1; {cookie}")[0] == 200
    assert get(port, VIEW, Cookie=cookie, **UPGRADE)[0] == 101
    assert get(port, "/api/sources", Cookie=cookie[:-1])[0] == 401


def test_its_own_page_may_ask(port: int) -> None:
    for origin in (f"http://127.0.0.1:{port}", f"https://127.0.0.1:{port}"):  # https: a proxy stands before it
        assert get(port, "/api/sources", Origin=origin, **BEARER)[0] == 200
        assert get(port, VIEW, Origin=origin, **BEARER, **UPGRADE)[0] == 101


@pytest.mark.parametrize("path", ["/", "/style.css", "/api/sources", "/nothing", "/metrics"])
def test_every_answer_says_what_the_browser_may_not_do(port: int, path: str) -> None:
    for headers in (BEARER, {}):
        answered = get(port, path, **headers)[1]
        assert answered["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in answered["content-security-policy"]
        assert answered["x-content-type-options"] == "nosniff"
        assert answered["cache-control"] == "no-store"
        assert "server" not in answered


@pytest.mark.parametrize(
    "garbage",
    [
        os.urandom(3000) + b"\r\n\r\n",
        b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 40_000,
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\nx",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzzz",
    ],
    ids=[
        "random",
        "zmtp",
        "long header",
        "long path",
        "no host",
        "two hosts",
        "old",
        "long body",
        "negative",
        "smuggled",
    ],
)
def test_garbage_is_answered_with_an_error_or_not_at_all_and_the_server_goes_on(port: int, garbage: bytes) -> None:
    answer = ask(port, garbage)
    assert answer[:12] in (b"", *(f"HTTP/1.1 {status}".encode() for status in (400, 401, 405, 421, 431)))
    assert get(port, "/", **BEARER)[0] == 200


def test_a_question_that_does_not_come_to_its_end_is_not_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(0.25)
        began_s = time.monotonic()
        for byte in b"GET / HTTP/1.1\r\nHost: " + b"a" * 1000:
            with suppress(TimeoutError):
                assert connection.recv(1) == b""
                break
            connection.sendall(bytes([byte]))
    assert time.monotonic() - began_s < 15


def test_without_a_token_this_machine_may_look_and_other_sites_may_not() -> None:
    with web() as (sink, port):
        put(sink, begin(SECRET))
        sink.figures(run_figures(source_figures(SECRET)))
        assert get_json(port, "/api/sources")["sources"][0]["of"]["name"] == SECRET
        assert get(port, "/", host=f"localhost:{port}")[0] == 200
        assert get(port, "/", host="evil.example")[0] == 421
        assert get(port, "/api/sources", Origin="http://evil.example")[0] == 403
        assert get(port, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200, "a link leads here"


def test_a_proxy_s_name_is_answered_if_it_is_allowed() -> None:
    with web(hosts=("cam.example.org",)) as (_, port):
        origin = "https://cam.example.org"
        assert get(port, "/api/sources", host="cam.example.org", Origin=origin)[0] == 200
        assert get(port, "/api/sources", host=f"127.0.0.1:{port}", Origin=origin)[0] == 403
