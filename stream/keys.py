"""Keys of the keypoint stream beyond this machine: `python -m stream.keys new NAME | list | remove NAME`.

A folder holds the publisher's key pair and the public key of each client that is let in. A client gets one file.
"""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq
from msgspec import Struct

from configs.errors import ConfigError, OutputError, PosestreamError, RefusedError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
T = TypeVar("T")


class KeyPair(Struct, frozen=True):
    """A CURVE key pair, each key in Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair({self.public!r}, ***)"


class ClientKey(Struct, frozen=True):
    """What a client needs: its own pair, and the publisher's public key."""

    server: str
    public: str
    secret: str

    def __repr__(self) -> str:
        return f"ClientKey({self.server!r}, {self.public!r}, ***)"


class KeyFolder:
    """The publisher's key pair and the clients that are let in."""

    def __init__(self, path: str | None) -> None:
        """Keys at that path; None: posestream/keys in the user's configuration folder."""
        config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        self.path = Path(os.path.expanduser(path if path is not None else f"{config}/posestream/keys"))
        self._server = self.path / "publisher.json"
        self._clients = self.path / "clients"

    def server(self) -> KeyPair | None:
        """The publisher's key pair; None: there is none.

        Raises:
            ConfigError: it cannot be read.
            RefusedError: others may read it.
        """
        return read_secret(str(self._server), KeyPair) if self._server.exists() else None

    def clients(self) -> dict[str, str]:
        """Name -> public key of each client that is let in."""
        return {path.stem: path.read_text().strip() for path in sorted(self._clients.glob("*.pub"))}

    def allows(self, public: bytes) -> bool:
        """Whether a client with that public key in Z85 is let in: asked at each connection, so a removal counts."""
        try:
            return public.decode() in self.clients().values()
        except (OSError, UnicodeDecodeError):
            return False

    def new(self, name: str) -> Path:
        """Let a new client in; the file that it needs, which is secret.

        Raises:
            ConfigError: the name cannot be used, or is taken.
            OutputError: the folder cannot be written.
        """
        path = self._client(name)
        if path.exists():
            raise ConfigError(f"a client {name} is there already; choose another name, or remove it first")
        try:
            self._clients.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            server = self.server()
            if server is None:
                server = _new_pair()
                _write_secret(self._server, server)
            pair = _new_pair()
            file = self.path / f"{name}.key"
            file.unlink(missing_ok=True)
            _write_secret(file, ClientKey(server.public, pair.public, pair.secret))
            path.write_text(pair.public + "\n")
        except OSError as error:
            if isinstance(error, PosestreamError):
                raise
            raise OutputError(f"keys {self.path} cannot be written: {error.strerror}; give --folder") from None
        return file

    def remove(self, name: str) -> None:
        """Let a client in no more, once it connects anew.

        Raises:
            ConfigError: there is no such client.
        """
        path = self._client(name)
        if not path.exists():
            raise ConfigError(f"no client {name}; there are {', '.join(self.clients()) or 'none'}")
        path.unlink()
        (self.path / f"{name}.key").unlink(missing_ok=True)

    def _client(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
            raise ConfigError(f"{name!r} is no name of a client; use up to 64 letters, digits, _ . and -")
        return self._clients / f"{name}.pub"


def read_secret(path: str, kind: type[T]) -> T:
    """A key file.

    Raises:
        ConfigError: it cannot be read, or is none.
        RefusedError: others may read it.
    """
    try:
        with open(os.path.expanduser(path), "rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & _OTHERS:
                raise RefusedError(f"key {path} can be read by others; run: chmod 600 {path}")
            return msgspec.json.decode(file.read(1 << 12), type=kind)
    except RefusedError:
        raise
    except OSError as error:
        raise ConfigError(f"key {path} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):  # whose text may quote the key
        raise ConfigError(f"{path} is no key file; `python -m stream.keys new NAME` makes one") from None


def _new_pair() -> KeyPair:
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def _write_secret(path: Path, value: Struct) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(msgspec.json.encode(value) + b"\n")


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m stream.keys", description="Who may read the keypoint stream.")
    parser.add_argument("--folder", metavar="DIR", help="Where keys are kept (default: ~/.config/posestream/keys).")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (("new", "Let a client in."), ("remove", "Let a client in no more.")):
        commands.add_parser(command, help=text).add_argument("name", metavar="NAME")
    commands.add_parser("list", help="Names of the clients that are let in.")
    given = parser.parse_args(arguments)
    keys = KeyFolder(given.folder)
    try:
        if given.command == "new":
            print(f"{given.name} is let in. Give it this file, which is secret: {keys.new(given.name)}")
        elif given.command == "remove":
            keys.remove(given.name)
        else:
            print(*keys.clients(), sep="\n")
    except PosestreamError as error:
        print(f"posestream: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
