"""Weights that do not come: one line says why, gives no secret away and says where to put the file."""

from __future__ import annotations

import socket
import traceback
from dataclasses import replace
from pathlib import Path

import pytest
from weights_server import BODY, Place, quiet

from configs.errors import EngineError
from engines.weights import download, zoo
from engines.weights.download import fetch

MALFORMED = "the address of a proxy, or what the server says, is malformed"

pytestmark = pytest.mark.usefixtures("online")


@pytest.mark.parametrize(
    ("status", "location", "reason"),
    [
        (404, "", "the server says 404 Not Found"),
        (503, "", "the server says 503 Service Unavailable"),
        (302, "http://example.org/a", "it leads to http://example.org, which is no https address"),
        (302, "ftp://127.0.0.1/a", "it leads to ftp://127.0.0.1, which is no https address"),
        (302, "http://me:s3cret@example.org/?Sign=s3cret", "it leads to http://example.org, which is no https address"),
        (302, "gopher://me:s3cret@example.org/", "the server says 302 and leads nowhere"),
        (302, "https://me:s3cret@127.0.0.1/", MALFORMED),
        (302, "https://[::1/s3cret", MALFORMED),
    ],
)
def test_a_refusal_says_where_the_file_may_be_put_and_gives_no_secret_away(
    status: int, location: str, reason: str, place: Place, tmp_path: Path
) -> None:
    place.status, place.location = status, location
    with pytest.raises(EngineError) as told:
        fetch(place.entry(), tmp_path, quiet)
    assert str(told.value) == (
        f"weights coco_v1 cannot be downloaded from {place.url}: {reason}; "
        f"download it by other means to {tmp_path}/weights-abc.pth"
    )
    assert len(place.asked) == 1
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


def test_a_server_that_leads_to_itself_is_given_up(place: Place, tmp_path: Path) -> None:
    place.status, place.location = 302, place.url
    with pytest.raises(EngineError, match=r"abc\.pth: the server says 302 and leads nowhere; download it by other \S"):
        fetch(place.entry(), tmp_path, quiet)


def test_what_a_server_says_does_nothing_to_a_terminal(place: Place, tmp_path: Path) -> None:
    place.status, place.words = 404, "Gone\x1b]0;title\x07 \t\x9b2J far\x85away"
    with pytest.raises(EngineError) as told:
        fetch(place.entry(), tmp_path, quiet)
    assert ": the server says 404 Gone]0;title 2J far away; download it" in str(told.value)


@pytest.mark.parametrize("proxy", ["http:/me:s3cret@proxy:3128", "http://me:s3cret", "http://me:s3cret@a..b:3128"])
def test_a_proxy_that_cannot_be_is_told_without_its_password(
    proxy: str, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(EngineError, match=f"weights-abc.pth: {MALFORMED}; download it by other means to ") as told:
        fetch(place.entry(), tmp_path, quiet)
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    entry = replace(zoo.COCO_V1, url=f"http://127.0.0.1:{port}/weights.pth")
    with pytest.raises(EngineError, match=rf"{port}/weights.pth: Connection refused; download it by other means to"):
        fetch(entry, tmp_path, quiet)


def test_a_server_that_stays_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as held:  # the system takes the call, and nobody answers
        entry = replace(zoo.COCO_V1, url=f"http://127.0.0.1:{held.getsockname()[1]}/weights.pth")
        with pytest.raises(EngineError, match=r"/weights.pth: no answer for 1 s; download it by other means to"):
            fetch(entry, tmp_path, quiet)


@pytest.mark.parametrize(
    "url", ["http://example.org/a.pth", "file:///etc/hostname", "ftp://127.0.0.1/a.pth", "http://127.0.0.1.org/a.pth"]
)
def test_only_https_is_trusted(url: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"from {url}: it is no https address"):
        fetch(replace(zoo.COCO_V1, url=url), tmp_path, quiet)


def test_offline_means_that_nobody_is_asked(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSESTREAM_OFFLINE", "1")
    with pytest.raises(EngineError, match=r": POSESTREAM_OFFLINE is set; download it by other means to"):
        fetch(place.entry(), tmp_path, quiet)
    assert place.asked == []
    monkeypatch.setenv("POSESTREAM_OFFLINE", "0")
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY


def test_a_folder_that_cannot_be_made_is_told(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    with pytest.raises(EngineError, match=r": File exists; download it by other means to"):
        fetch(place.entry(), tmp_path / "weights", quiet)


def test_a_folder_that_cannot_be_looked_into_is_told(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 100)
    wanted = rf"^weights file {folder}/weights-abc\.pth cannot be read: File name too long; mend that, or set XDG_CACHE"
    with pytest.raises(EngineError, match=wanted):
        fetch(place.entry(), folder, quiet)
    assert place.asked == []
