"""Numbers over time in a file that TensorBoard shows.

The form is so small that the `tensorboard` package, with its server, is needed only to look at it.
Source: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto and
tensorflow/core/lib/io/record_writer.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from configs.errors import OutputError

_POLYNOMIAL = 0x82F63B78  # CRC-32C, reflected


def _table() -> tuple[int, ...]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (_POLYNOMIAL if number & 1 else 0)
        table.append(number)
    return tuple(table)


_TABLE = _table()


class Events:
    """A file of scalars; each is written at once, so what a killed run has said is there."""

    def __init__(self, folder: Path, time_s: float) -> None:
        """Begin a new file in the folder; time_s: since the epoch, and part of its name.

        Raises:
            OutputError: it cannot be written.
        """
        self.path = folder / f"events.out.tfevents.{int(time_s)}.{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error
        self._write(_double(1, time_s) + _bytes(3, b"brain.Event:2"))

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, step: int, scalars: Mapping[str, float], time_s: float) -> None:
        """Write what each scalar is at a step.

        Raises:
            OutputError: the disk is full, say.
        """
        values = b"".join(_bytes(1, _bytes(1, name.encode()) + _float(2, value)) for name, value in scalars.items())
        self._write(_double(1, time_s) + _key(2, 0) + _varint(step) + _bytes(5, values))

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        record = length + _masked(length) + event + _masked(event)
        try:
            self._file.write(record)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}") from error


def _masked(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))


def _bytes(number: int, value: bytes) -> bytes:
    return _key(number, 2) + _varint(len(value)) + value


def _double(number: int, value: float) -> bytes:
    return _key(number, 1) + struct.pack("<d", value)


def _float(number: int, value: float) -> bytes:
    return _key(number, 5) + struct.pack("<f", value)
