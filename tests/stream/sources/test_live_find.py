"""What is live behind `--source`, and what is seen of it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from configs.errors import ConfigError, RefusedError, SourceError
from stream.sources.find import find
from stream.sources.network import ALLOWED
from stream.sources.url import SCHEMES


@pytest.mark.parametrize(
    ("source", "name", "kind", "label"),
    [
        ("0", "camera-0", "camera", "0"),
        ("/dev/video12", "video12", "camera", "/dev/video12"),
        ("-", "stdin", "pipe", "-"),
        ("rtsp://me:p@ss@cam.local:554/a?token=t", "cam.local", "stream", "rtsp://***@cam.local:554/a?token=***"),
        ("HTTP://cam/user=me_password=s_x.sdp", "cam", "stream", "HTTP://cam/user=***"),
        ("udp://[::1]:5000", "::1", "stream", "udp://[::1]:5000"),
    ],
)
def test_live_sources_have_a_kind_a_name_and_a_label_without_secrets(
    source: str, name: str, kind: str, label: str
) -> None:
    (spec,) = find([source])
    assert (spec.name, spec.kind, spec.label, spec.live) == (name, kind, label, True)
    assert label in repr(spec)


def test_a_file_called_like_a_camera_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").write_bytes(b"x")
    (spec,) = find(["0"])
    assert (spec.kind, spec.live) == ("file", False)


def test_a_file_may_be_played_as_if_it_were_live(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    specs = find([str(tmp_path), "0"], realtime=True)
    assert [(spec.kind, spec.realtime, spec.live) for spec in specs] == [("file", True, True), ("camera", False, True)]


def test_a_named_pipe_is_read_where_that_is_allowed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    (spec,) = find([str(tmp_path / "p")], allow_pipe=True)
    assert (spec.kind, spec.live) == ("pipe", True)
    with pytest.raises(SourceError, match="needs --allow-pipe"):
        find([str(tmp_path / "p")])


def test_a_list_of_streams_stands_for_its_lines(tmp_path: Path) -> None:
    (tmp_path / "c.streams").write_text(
        "# cameras\n\nyard = rtsp://a/x?b=c\nrtsp://a/y\n  0\nfront door=rtsp://a/z\nrtsp://a/w\n"
    )
    specs = find([str(tmp_path / "c.streams")])
    assert [spec.name for spec in specs] == ["yard", "a", "camera-0", "front door", "a-2"]
    assert [spec.uri for spec in specs] == ["rtsp://a/x?b=c", "rtsp://a/y", "0", "rtsp://a/z", "rtsp://a/w"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("# none\n", "c.streams: names no source"), ("a=b.streams\n", "c.streams: line 1 names another list")],
)
def test_a_list_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.streams").write_text(text)
    with pytest.raises(ConfigError, match=said):
        find([str(tmp_path / "c.streams")])


def test_each_scheme_that_is_read_has_its_allowed_protocols() -> None:
    assert set(SCHEMES) == set(ALLOWED)
    assert not [
        protocols for protocols, _ in ALLOWED.values() if {"file", "concat", "pipe"} & set(protocols.split(","))
    ]


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("door = rtsp://me:secret@cam/1", True),
        ("rtsp://me:sec%40ret@cam/1", True),
        ("http://cam/live?user=me&pwd=secret", True),
        ("http://cam/user=me_password=secret_channel=1.sdp", True),
        ("http://cam/hls.m3u8?access_token=secret", True),
        ("rtsp://me@cam/1", False),
        ("rtsp://cam:554/1?channel=1&rtsp_transport=udp", False),
    ],
)
def test_a_list_that_holds_a_password_is_for_its_user_alone(tmp_path: Path, line: str, secret: bool) -> None:
    file = tmp_path / "c.streams"
    file.write_text(f"# cameras\n{line}\n")
    file.chmod(0o640)
    if not secret:
        assert len(find([str(file)])) == 1
        return
    text = f"{file}: line 2 holds a password, and the file can be read by others; run: chmod 600 {file}"
    with pytest.raises(RefusedError, match=f"^{re.escape(text)}$") as caught:
        find([str(file)])
    assert caught.value.exit_code == 8
    file.chmod(0o600)
    assert len(find([str(file)])) == 1
