"""Where the page may be, by which names it is asked for, and who needs a token."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from web_made import free_port

from configs.errors import ConfigError, OutputError, RefusedError
from configs.load import load
from configs.outlets import WebSettings
from stream.web.address import TOKEN, check_web, token_of, web_address

LONG = "a-token-nobody-guesses"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "")  # so that what a test makes is undone
    monkeypatch.delenv(TOKEN)


@pytest.mark.parametrize(
    ("given", "ip", "port", "beyond"),
    [
        ("8080", "127.0.0.1", 8080, False),
        (":8080", "127.0.0.1", 8080, False),
        ("localhost:1", "127.0.0.1", 1, False),
        ("127.0.0.2:65535", "127.0.0.2", 65_535, False),
        ("[::1]:8080", "::1", 8080, False),
        ("0.0.0.0:8080", "0.0.0.0", 8080, True),
        ("*:8080", "0.0.0.0", 8080, True),
        ("[::]:8080", "::", 8080, True),
        ("192.0.2.7:8080", "192.0.2.7", 8080, True),
    ],
)
def test_an_address_is_of_this_machine_alone_unless_it_says_more(given: str, ip: str, port: int, beyond: bool) -> None:
    address = web_address(WebSettings(address=given))
    assert (address.ip, address.port, address.beyond) == (ip, port, beyond)


def test_a_port_alone_is_a_number_in_yaml() -> None:
    assert load(None, ["web.address=8080"]).web.address == "8080"


@pytest.mark.parametrize(
    "given", ["", "0", "65536", "a:b", "host", "1.2.3.4", "http://host:1", "[::1]", "u@host:80", "a b:1"]
)
def test_what_is_no_address_is_said_to_be_none(given: str) -> None:
    with pytest.raises(ConfigError, match=r"^web .*: no address; it should be PORT or HOST:PORT, as 8080 or "):
        web_address(WebSettings(address=given))


def test_a_host_that_nobody_knows_is_said() -> None:
    with pytest.raises(ConfigError, match=r"^web nobody\.invalid:80: no such host; give an address of this machine"):
        web_address(WebSettings(address="nobody.invalid:80"))


@pytest.mark.parametrize(
    ("given", "host", "known"),
    [
        ("8080", "127.0.0.1:8080", True),
        ("8080", "LOCALHOST:9000", True),  # a tunnel has another port
        ("8080", "[::1]:8080", True),
        ("8080", "evil.example", False),
        ("8080", "127.0.0.1.evil.example", False),
        ("8080", "evil.example:127.0.0.1", False),
        ("8080", "user@127.0.0.1", False),
        ("8080", "127.0.0.1:8080:1", False),
        ("8080", "", False),
        ("8080", "cam.example.org", False),
        ("192.0.2.7:8080", "192.0.2.7:8080", True),
        ("192.0.2.7:8080", "localhost", False),
        ("192.0.2.7:8080", socket.gethostname(), True),
        ("0.0.0.0:8080", "127.0.0.1:8080", True),
        ("0.0.0.0:8080", "192.0.2.7", False),
    ],
)
def test_only_names_of_its_own_are_answered(given: str, host: str, known: bool) -> None:
    assert web_address(WebSettings(address=given)).knows(host) == known


def test_a_further_name_can_be_allowed() -> None:
    settings = load(None, ["web.address=8080", "web.hosts=Cam.example.org"]).web
    assert web_address(settings).knows("cam.example.org:443")


def test_beyond_this_machine_a_token_is_made_and_said_once() -> None:
    settings = WebSettings(address=f"0.0.0.0:{free_port()}")
    with pytest.raises(RefusedError, match="other machines reach it, and there is no token; set POSESTREAM_WEB_TOKEN"):
        token_of(web_address(settings))
    link = check_web(settings)
    token = token_of(web_address(settings))
    assert token is not None
    assert token.is_text(link.partition("?token=")[2])
    assert len(os.environ[TOKEN]) >= 32
    assert check_web(settings) == "", "the token that is there stays"


def test_on_this_machine_there_is_no_token_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WebSettings(address=str(free_port()))
    assert check_web(settings) == ""
    assert token_of(web_address(settings)) is None
    monkeypatch.setenv(TOKEN, LONG)
    token = token_of(web_address(settings))
    assert token is not None
    assert token.is_text(LONG)
    assert not token.is_text(LONG[:-1])
    assert not token.is_text("ä")
    assert not token.is_cookie(LONG)


@pytest.mark.parametrize("bad", ["secret", "a" * 15, "sixteen letters, and blanks", "ä" * 16])
def test_a_token_that_is_guessed_easily_is_refused(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, bad)
    with pytest.raises(
        RefusedError, match="POSESTREAM_WEB_TOKEN is no good token; make it 16 ASCII characters"
    ) as said:
        check_web(WebSettings(address=str(free_port())))
    assert bad not in str(said.value)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OutputError, match=rf"^web {port}: Address already in use; choose an address of this mach"):
            check_web(WebSettings(address=str(port)))


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(OutputError, match=r"^web 192\.0\.2\.7:80: Cannot assign requested address; choose"):
        check_web(WebSettings(address="192.0.2.7:80"))


def test_a_library_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ConfigError, match=r"^web 8080: uvicorn is not installed; run: pip install 'posestream\[web\]'"):
        check_web(WebSettings(address="8080"))
