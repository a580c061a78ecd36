"""Where keypoints are published, and whether that is safe."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import socket
import stat
from dataclasses import dataclass
from typing import get_args

from configs.errors import ConfigError, OutputError, RefusedError
from configs.schema import PublishSettings
from stream.address import label_of
from stream.keys import KeyFolder
from stream.published import Format

_MQTT_PORT = 1883
_PATH_BYTES_MAX = 100  # the kernel's bound on a socket's path is 108, with ipc:// libzmq takes some of it


@dataclass(frozen=True)
class Endpoint:
    """An address of `--publish` that a ZeroMQ socket binds."""

    given: str
    """As the user wrote it, without secrets."""
    bind: str
    """As ZeroMQ takes it: an IP address instead of a name."""
    format: Format
    beyond: bool
    """It can be reached from other machines: CURVE is needed."""

    @property
    def path(self) -> str:
        """Of an ipc socket; empty: it is none."""
        return self.bind.removeprefix("ipc://") if self.bind.startswith("ipc://") else ""


@dataclass(frozen=True)
class Broker:
    """An address of `--publish` that names an MQTT broker."""

    given: str
    host: str
    port: int
    topic: str
    """What all topics begin with."""


def is_broker(address: str) -> bool:
    """Whether it is `mqtt://…`."""
    return address.startswith("mqtt:")


def broker_of(address: str) -> Broker:
    """Parse `mqtt://HOST/TOPIC` or `mqtt://HOST:PORT/TOPIC`.

    Raises:
        ConfigError: it is none, names a user, or paho-mqtt is not installed.
    """
    label = label_of(address)
    if "@" in address:
        raise ConfigError(
            f"publish {label}: an address is no place for a password, it is kept in run.json; put "
            "`machine HOST login USER password PASSWORD` into a file of mode 0600 and give --set live.credentials=FILE"
        )
    found = re.fullmatch(r"mqtt://(\[[0-9a-fA-F:.]+\]|[^\[\]:/\s]+)(?::([0-9]{1,5}))?/([^+#?\0]*[^+#?/\0])/?", address)
    if not found or not 0 < int(found[2] or _MQTT_PORT) <= 65_535:
        raise ConfigError(f"publish {label}: no address; it should be mqtt://HOST/TOPIC or mqtt://HOST:PORT/TOPIC")
    if importlib.util.find_spec("paho") is None:
        raise ConfigError(f"publish {label}: paho-mqtt is not installed; run: pip install 'posestream[mqtt]'")
    return Broker(label, found[1].strip("[]"), int(found[2] or _MQTT_PORT), found[3])


def endpoint_of(address: str) -> Endpoint:
    """Parse `tcp://HOST:PORT` or `ipc://PATH`, with or without `?format=json`.

    Raises:
        ConfigError: it is none, or no address of this machine.
    """
    label = label_of(address)
    bare, question, query = address.partition("?")
    format = query.removeprefix("format=")
    if question and (not query.startswith("format=") or format not in get_args(Format)):
        raise ConfigError(f"publish {label}: {query!r} is unknown; it should be format=msgpack or format=json")
    chosen: Format = "json" if format == "json" else "msgpack"
    if bare.startswith("ipc://"):
        return Endpoint(label, f"ipc://{_socket_path(label, bare.removeprefix('ipc://'))}", chosen, beyond=False)
    found = re.fullmatch(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+):([0-9]{1,5}|\*)", bare)
    if not found or (found[2] != "*" and int(found[2]) > 65_535):
        raise ConfigError(
            f"publish {label}: no address; it should be tcp://HOST:PORT or ipc://PATH, or either with ?format=json"
        )
    ip = _ip(label, found[1])
    port = "*" if found[2] == "*" or not int(found[2]) else found[2]
    return Endpoint(label, f"tcp://[{ip}]:{port}" if ":" in ip else f"tcp://{ip}:{port}", chosen, not _is_loopback(ip))


def check_publish(settings: PublishSettings) -> None:
    """Find out early that something must not, or cannot, be published.

    Raises:
        ConfigError: an address cannot be used.
        RefusedError: it can be reached from other machines, and nobody has a key.
    """
    keys = KeyFolder(settings.keys)
    for address in settings.addresses:
        if is_broker(address):
            broker_of(address)
        else:
            check_keys(endpoint_of(address), keys)


def check_keys(endpoint: Endpoint, keys: KeyFolder) -> None:
    """Refuse to publish beyond this machine to whoever asks.

    Raises:
        RefusedError: nobody has a key.
    """
    if endpoint.beyond and (keys.server() is None or not keys.clients()):
        raise RefusedError(
            f"publish {endpoint.given}: other machines reach it, and nobody has a key to read it; make one for each "
            "client: python -m stream.keys new NAME, or publish at tcp://127.0.0.1:PORT"
        )


def free_path(endpoint: Endpoint) -> None:
    """Make sure that binding takes no other program's socket and removes no file: ZeroMQ removes what is there.

    Raises:
        OutputError: something else is there.
    """
    try:
        mode = os.lstat(endpoint.path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise OutputError(f"publish {endpoint.given}: a file is there already; choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(endpoint.path)
        except ConnectionRefusedError:  # left by a program that is gone
            return
        except OSError as error:
            raise OutputError(f"publish {endpoint.given}: {error.strerror}; choose another path") from None
    raise OutputError(f"publish {endpoint.given}: another program publishes there; choose another path")


def _socket_path(label: str, path: str) -> str:
    path = os.path.abspath(os.path.expanduser(path)) if path and not path.startswith("@") else ""
    if not path:  # abstract names, @..., have no permissions: everybody on this machine could read
        raise ConfigError(f"publish {label}: no path; it should be a file's, as ipc:///run/user/1000/keypoints")
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise ConfigError(f"publish {label}: the path is longer than {_PATH_BYTES_MAX} bytes; choose a shorter one")
    return path


def _ip(label: str, host: str) -> str:
    host = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host, host.strip("[]"))
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        raise ConfigError(f"publish {label}: no such host; give an address of this machine") from None


def _is_loopback(ip: str) -> bool:
    return ipaddress.ip_address(ip).is_loopback
