"""Scalars in TensorBoard's form: read back by a reader written from its description."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from configs.errors import OutputError
from engines.train.events import Events


def crc32c(data: bytes) -> int:
    """Bit by bit; Castagnoli's polynomial."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checked(data: bytes, masked: int) -> bytes:
    turned = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert (turned >> 17 | turned << 15) & 0xFFFFFFFF == crc32c(data)
    return data


def records(path: Path) -> list[bytes]:
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", checked(content[:8], struct.unpack("<I", content[8:12])[0]))
        found.append(checked(content[12 : 12 + length], struct.unpack("<I", content[12 + length : 16 + length])[0]))
        content = content[16 + length :]
    return found


def varint(data: bytes) -> tuple[int, bytes]:
    number = shift = 0
    while True:
        byte, data = data[0], data[1:]
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, data


def message(data: bytes) -> list[tuple[int, object]]:
    found: list[tuple[int, object]] = []
    while data:
        key, data = varint(data)
        if key & 7 == 0:
            value: object
            value, data = varint(data)
        elif key & 7 == 2:
            length, data = varint(data)
            value, data = data[:length], data[length:]
        else:
            form, size = ("<d", 8) if key & 7 == 1 else ("<f", 4)
            value, data = struct.unpack(form, data[:size])[0], data[size:]
        found.append((key >> 3, value))
    return found


def test_crc_of_the_known_vector() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_scalars_come_back(tmp_path: Path) -> None:
    with Events(tmp_path / "run", 1000.5) as events:
        events.add(300, {"loss/boxes": 0.25, "AP": -1.5}, 1001.0)
        head, event = (message(record) for record in records(events.path))  # before it is closed
    assert head == [(1, 1000.5), (3, b"brain.Event:2")]
    assert event[:2] == [(1, 1001.0), (2, 300)]
    assert event[2][0] == 5
    assert isinstance(event[2][1], bytes)
    values = [message(value) for _, value in message(event[2][1]) if isinstance(value, bytes)]
    assert values == [[(1, b"loss/boxes"), (2, 0.25)], [(1, b"AP"), (2, -1.5)]]
    assert events.path.name.startswith("events.out.tfevents.1000.")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"events\.out\.tfevents\.0\.\d+ cannot be written: File exists"):
        Events(tmp_path / "file", 0)
