"""What strangers get at the ports that publishing opens: random bytes, HTTP, old ZMTP, huge lengths, wrong keys.

A probe that gets anything of a record is accepted; a reader that is let in must miss nothing meanwhile.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct, structs
from share import publisher, record

from stream.client import Gap, Subscription, subscribe
from stream.keys import ClientKey, KeyFolder, read_secret
from stream.records import Record
from stream.sinks.broadcast import Broadcast

_GREETING = b"\xff" + bytes(8) + b"\x7f"
_READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
_WAIT_S = 0.3


class Outcome(Struct, frozen=True):
    """How the probes went."""

    probes: int
    accepted: int
    """Probes that got something of a record."""
    broken: int
    """Records that the reader that is let in missed meanwhile, or Gaps that it was told of."""


def noises() -> Iterator[bytes]:
    """What is sent to a port, one connection each."""
    rng = np.random.default_rng(0)
    yield from (rng.bytes(int(size)) for size in np.geomspace(1, 1 << 20, 15))
    for verb in (b"GET", b"POST", b"CONNECT", b"OPTIONS"):
        yield verb + b" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n\x01cam1"
    yield b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.bytes(500)  # TLS
    yield b"\x01\x00\x06\x00\x01cam1" * 50  # ZMTP 1
    yield b"\xff" + bytes(7) + b"\x01\x7f\x00\x02" + b"\x01\x00" + b"\x00\x01\x01"
    yield _GREETING + b"\x01\x02" + b"\x00\x05\x01cam1"  # ZMTP 2
    yield _GREETING + b"\x02\x02\x00\x05\x01cam1"
    for mechanism in (b"PLAIN", b"GSSAPI", b"NONE", b"\x00" * 4):
        yield _GREETING + b"\x03\x00" + mechanism.ljust(20, b"\x00") + bytes(32) + _READY + b"\x00\x05\x01cam1"
    yield b"\xff" * 12
    yield _GREETING + b"\x03\x00NULL" + bytes(16 + 32) + b"\x06" + b"\xff" * 8  # a command of 2**64 - 1 bytes
    for length in (2**63 - 1, 2**31, 4096):  # a topic of so many bytes
        head = _GREETING + b"\x03\x00NULL" + bytes(16 + 32) + _READY
        yield head + b"\x02" + length.to_bytes(8, "big") + b"\x01cam1" + bytes(min(length, 8192))


class Reader:
    """A reader that is let in, and must miss nothing."""

    def __init__(self, outlet: Broadcast, frames: Subscription[Record | Gap]) -> None:
        self._outlet, self._frames = outlet, frames
        self._index = self.missed = 0
        next(frames)

    def check(self) -> None:
        """Send a record and read it."""
        self._index += 1
        self._outlet.send(record(self._index, 1))
        got = next(self._frames)
        self.missed += not isinstance(got, Record) or got.index != self._index


def probe(port: int, noise: bytes, reader: Reader) -> bool:
    """Whether a stranger gets something of a record."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger, suppress(OSError):
        stranger.settimeout(0.02)
        with suppress(TimeoutError):
            stranger.sendall(noise)
        until_s = time.monotonic() + _WAIT_S
        while time.monotonic() < until_s:
            reader.check()
            with suppress(TimeoutError):
                data = stranger.recv(1 << 16)
                if not data:
                    break
                got += data
    reader.check()
    return b"keypoints" in got or b"cam1" in got


def wrong_keys(address: str, right: Path, folder: Path) -> Iterator[bool]:
    """Of clients with no key, a key of another publisher, and one that is not let in: whether each gets a record."""
    other = KeyFolder(str(folder / "other")).new("eve")
    stranger = folder / "stranger.key"
    mixed = structs.replace(read_secret(str(other), ClientKey), server=read_secret(str(right), ClientKey).server)
    stranger.write_bytes(msgspec.json.encode(mixed))
    stranger.chmod(0o600)
    for key in (None, str(other), str(stranger)):
        with subscribe(address, "cam1", key=key, timeout_s=1.0) as frames:
            try:
                next(frames)
                yield True
            except TimeoutError:
                yield False


def probe_all(count: int | None = None) -> Outcome:
    """Probe the open port and the one with keys, with so many noises each; None: all."""
    accepted, probes, broken = 0, 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        right = KeyFolder(str(folder / "keys")).new("anna")
        for keys, bind in ((None, "tcp://127.0.0.1:0"), (str(folder / "keys"), "tcp://0.0.0.0:0")):
            with publisher(keys, bind) as outlet:
                address = outlet.address.replace("0.0.0.0", "127.0.0.1")
                key = str(right) if keys else None
                with subscribe(address, "cam1", gaps=True, key=key, timeout_s=10) as frames:
                    reader = Reader(outlet, frames)
                    for noise in [*noises()][:count]:
                        accepted += probe(int(address.rpartition(":")[2]), noise, reader)
                        probes += 1
                    for got in wrong_keys(address, right, folder) if keys else ():
                        accepted += got
                        probes += 1
                        reader.check()
                broken += reader.missed
    return Outcome(probes, accepted, broken)
