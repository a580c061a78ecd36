"""A password is seen nowhere: it is given in each way there is, everything that can go wrong does, all is searched."""

from __future__ import annotations

import logging
import pickle
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from configs.errors import ConfigError, PosestreamError, RefusedError
from configs.schema import Settings
from configs.sources import DecodeSettings, LiveSettings
from stream.messages import SourceSpec
from stream.sources.credentials import with_credentials
from stream.sources.find import find
from stream.sources.probe import check, probe
from stream.sources.url import Url
from tests.http_media import folder_server, mjpeg_server

CANARY = "c4n4ry"
ONCE = LiveSettings(reconnect_limit=0, connect_timeout_s=0.5, read_timeout_s=0.5)


def urls(http: str, deaf: int) -> Iterator[str]:
    """Addresses that go wrong, each in its own way, each with a password."""
    host = http.removeprefix("http://")
    for scheme in ("rtsp", "http", "rtmp", "tcp"):
        yield f"{scheme}://me:{CANARY}@127.0.0.1:1/x"  # refused
        yield f"{scheme}://me:{CANARY}@127.0.0.1:{deaf}/x"  # no answer
    yield f"http://me:{CANARY}@{host}/none"
    yield f"http://{host}/none?token={CANARY}"
    yield f"http://{host}/user=me_password={CANARY}_channel=1.sdp"
    yield f"http://me:{CANARY}@{host}/text.txt"
    yield f"rtsp://me:{CANARY}@{host}/x"  # another protocol
    yield f"http://me:{CANARY}@nobody.invalid/x"
    yield f"https://me:{CANARY}@{host}/x"  # no TLS
    yield f"srt://me:{CANARY}@{host}"
    yield f"http://{host}/list.m3u8?password={CANARY}"


MALFORMED = [
    f"rtsp://me:{CANARY}/x@host/y",
    f"rtsp://me:{CANARY}@",
    f"rtsp:/me:{CANARY}@host/x",
    f"ftp://me:{CANARY}@host/x",
    f"concat:http://me:{CANARY}@host/x",
    f"rtsp://me:{CANARY}@host:99999/x",
    f"http://host/a?b=c&token={CANARY};x",
]


def text_of(error: BaseException) -> str:
    """All that can be seen of an error: text, causes, traceback, and the bytes in which it travels."""
    seen = "".join(traceback.format_exception(error))
    context: BaseException | None = error
    while context is not None:
        seen += repr(context) + str(context) + str(context.args)
        context = context.__context__
    return seen + repr(pickle.dumps(error, 0))


def test_no_error_shows_a_password(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "text.txt").write_text("no video" * 1000)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    with folder_server(tmp_path) as http, socket.create_server(("127.0.0.1", 0)) as deaf:
        specs = find(list(urls(http, deaf.getsockname()[1])))
        found = list(probe(specs, DecodeSettings(), ONCE))
    errors = [error for error in found if isinstance(error, PosestreamError)]
    assert len(errors) == len(specs) >= 15
    for spec, error in zip(specs, errors, strict=True):
        assert CANARY not in text_of(error)
        assert CANARY not in repr(spec) + str(spec) + spec.label + spec.name
        assert str(error).startswith(f"{spec.label}: ")
    out, err = capfd.readouterr()
    assert CANARY not in out + err + caplog.text


@pytest.mark.parametrize("source", MALFORMED)
def test_no_malformed_address_shows_a_password(source: str) -> None:
    try:
        (spec,) = find([source])
    except PosestreamError as error:
        seen = text_of(error).replace(repr(source), "")
    else:
        seen = repr(spec) + spec.label
    assert CANARY not in "\n".join(line for line in seen.splitlines() if "find([source])" not in line)


def test_a_stream_that_works_shows_no_password_either(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys, av.logging; from stream.decode import decode; from stream.sources.find import find\n"
        "from configs.schema import *\n"
        "given = []\n"
        "for m in decode(find([sys.stdin.read()]), DecodeSettings(), lambda: len(given) > 5):\n"
        "    given.append(m); print(m, flush=True)"
    )
    with mjpeg_server() as server:
        server.user = f"me:{CANARY}"
        url = server.url.replace("http://", f"http://me:{CANARY}@")
        done = subprocess.run([sys.executable, "-c", code], input=url, capture_output=True, text=True, timeout=60)
    assert "Frame" in done.stdout
    assert "End" in done.stdout
    assert not done.stderr
    assert CANARY not in done.stdout


def test_a_url_is_whole_for_ffmpeg_alone() -> None:
    url = Url(f"rtsp://me:{CANARY}@h:8554/a?x=1&rtsp_transport=udp&y=2")
    assert str(url) == "rtsp://***@h:8554/a?x=***&rtsp_transport=***&y=***"
    assert CANARY not in repr(url) + f"{url}" + repr([url])
    assert url.revealed == f"rtsp://me:{CANARY}@h:8554/a?x=1&y=2"
    assert url.transport == "udp"
    assert Url("rtsp://h/a").with_user("me", "p@/:%").revealed == "rtsp://me:p%40%2F%3A%25@h/a"


def test_the_address_has_a_user_before_the_file_and_the_file_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSESTREAM_USER", "env")
    monkeypatch.setenv("POSESTREAM_PASSWORD", "e")
    file = tmp_path / "c"
    file.write_text("machine cam login file password f\n")
    file.chmod(0o600)
    given = [with_credentials(Url(url), str(file)).revealed for url in ("rtsp://me:p@cam/", "rtsp://cam/", "rtsp://x/")]
    assert given == ["rtsp://me:p@cam/", "rtsp://file:f@cam/", "rtsp://env:e@x/"]


def test_a_credentials_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text(f"machine cam login me password {CANARY}\n")
    file.chmod(0o640)
    live = ONCE.model_copy(update={"credentials": str(file)})
    with pytest.raises(RefusedError, match=r"c can be read by others; run: chmod 600") as caught:
        check([SourceSpec("cam", "stream", "rtsp://cam/x")], DecodeSettings(), live)
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("text", [f"machine cam login me pass {CANARY}\n", f"{CANARY}\n", None])
def test_a_credentials_file_that_cannot_be_used_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "c"
    if text is not None:
        file.write_text(text)
        file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"credentials .*/c (are written wrongly|cannot be read)") as caught:
        with_credentials(Url("rtsp://cam/x"), str(file))
    assert CANARY not in text_of(caught.value)


def test_settings_and_messages_hold_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSESTREAM_PASSWORD", CANARY)
    (spec,) = find([f"rtsp://me:{CANARY}@cam/x"])
    assert CANARY not in repr(Settings()) + repr(spec)
    assert CANARY in msgspec.json.encode(spec).decode()  # it travels to the workers, by their standard input
