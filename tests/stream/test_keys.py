"""Who may read the keypoint stream from another machine."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError, OutputError, RefusedError
from stream.keys import ClientKey, KeyFolder, main, read_secret

ROOT = Path(__file__).parents[2]


def test_a_client_is_let_in_listed_and_removed_again(tmp_path: Path) -> None:
    def keys(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "stream.keys", "--folder", str(tmp_path / "keys"), *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return done.stdout

    file = tmp_path / "keys/anna.key"
    assert keys("new", "anna") == f"anna is let in. Give it this file, which is secret: {file}\n"
    keys("new", "bob")
    assert keys("list").split() == ["anna", "bob"]
    folder, key = KeyFolder(str(tmp_path / "keys")), read_secret(str(file), ClientKey)
    server = folder.server()
    assert server is not None
    assert server.public == key.server
    assert folder.allows(key.public.encode())
    keys("remove", "anna")
    assert not folder.allows(key.public.encode())
    assert keys("list").split() == ["bob"]
    assert not file.exists()


def test_secrets_are_the_owner_s_alone_and_are_not_printed(tmp_path: Path) -> None:
    folder = KeyFolder(str(tmp_path / "keys"))
    file = folder.new("anna")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    for path in (file, tmp_path / "keys/publisher.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key, server = read_secret(str(file), ClientKey), folder.server()
    assert server is not None
    assert key.secret not in repr(key)
    assert server.secret not in repr(server)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = KeyFolder(str(tmp_path)).new("anna")
    file.chmod(0o640)
    with pytest.raises(RefusedError, match=rf"^key {file} can be read by others; run: chmod 600 {file}$"):
        read_secret(str(file), ClientKey)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"server": 1}'])
def test_a_file_that_is_no_key_gives_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=rf"^{file} is no key file; `python -m stream\.keys new NAME` makes one$"):
        read_secret(str(file), ClientKey)
    with pytest.raises(ConfigError, match=r"gone\.key cannot be read: No such file or directory$"):
        read_secret(str(tmp_path / "gone.key"), ClientKey)


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a/b", "a" * 65, "x y"])
def test_a_name_that_is_no_file_s_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name of a client; use up to 64 letters"):
        KeyFolder(str(tmp_path)).new(name)
    assert list(tmp_path.iterdir()) == []


def test_mistakes_on_the_command_line_give_a_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyFolder(str(tmp_path)).new("anna")
    assert main(["--folder", str(tmp_path), "new", "anna"]) == ConfigError.exit_code
    assert main(["--folder", str(tmp_path), "remove", "bob"]) == ConfigError.exit_code
    (tmp_path / "file").touch()
    assert main(["--folder", str(tmp_path / "file"), "new", "anna"]) == OutputError.exit_code
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "posestream: a client anna is there already; choose another name, or remove it first"
    assert said[1] == "posestream: no client bob; there are anna"
    assert said[2].startswith(f"posestream: keys {tmp_path}/file cannot be written: ")
