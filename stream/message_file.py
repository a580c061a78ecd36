"""Messages in a file: what `--dump` writes and `--source FILE.psm` reads.

After a line that names the format come frames: length and CRC-32, both little-endian 32 bits, then so many bytes. The
first frame is a `Header` in msgpack, each other one a message as `stream.wire` has it, without pictures. Whatever cuts
the file short, the frames before can be read.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct as Layout
from typing import BinaryIO
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from stream.messages import Drop, Frame, Message, Poses, Slot, Tracks, WireError
from stream.wire import WIRE_VERSION, Wire

ENDING = ".psm"
_MAGIC = b"posestream messages 1\n"
_FRAME = Layout("<II")
_BYTES_MAX = 1 << 24  # of a frame


class MessageFileError(Exception):
    """Why a file of messages cannot be read, or not on: a line without the file's name."""


class Header(Struct, frozen=True):
    """Who wrote the messages."""

    posestream: str
    wire: int
    """Version of the messages."""
    keypoints: tuple[str, ...]
    """Names of people's keypoints, in order."""


class MessageWriter:
    """Writes messages behind those that a file holds; each is there as soon as `write` returns."""

    def __init__(self, path: Path, keypoints: tuple[str, ...]) -> None:
        """Open the file, and make it if it is not there; what a crash has left of a frame at its end is cut off.

        Raises:
            OSError: the disk refuses.
            MessageFileError: the file holds something else.
        """
        self._wire = Wire(_no_picture)
        is_new = not path.exists() or not path.stat().st_size
        end = 0 if is_new else _whole_bytes(path)
        self._file = path.open("wb" if is_new else "r+b")
        if is_new:
            self._file.write(_MAGIC)
            self._put(msgspec.msgpack.encode(Header(_version(), WIRE_VERSION, keypoints)))
        else:
            self._file.truncate(end)
            self._file.seek(end)

    def write(self, message: Message) -> None:
        """Add a message, its picture left out.

        Raises:
            OSError: the disk refuses.
        """
        if isinstance(message, Frame):
            message = structs.replace(message, pixels=None)
        elif isinstance(message, Poses | Tracks | Drop):
            message = structs.replace(message, frame=structs.replace(message.frame, pixels=None))
        self._put(self._wire.to_bytes(message))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, data: bytes) -> None:
        self._file.write(_FRAME.pack(len(data), _sum(data)) + data)
        self._file.flush()


class MessageReader:
    """Reads the messages of a file."""

    def __init__(self, path: str) -> None:
        """Open the file.

        Raises:
            MessageFileError: it cannot be read, holds something else, or messages of another version.
        """
        try:
            self._file: BinaryIO = open(path, "rb")
        except OSError as error:
            raise MessageFileError(f"cannot be read: {(error.strerror or '').lower()}") from None
        self._count = 0
        """Messages read so far."""
        self._wire = Wire(_no_picture)
        try:
            self.header = self._header()
        except BaseException:
            self._file.close()
            raise

    def payloads(self) -> Iterator[bytes]:
        """The bytes of each message that is whole, for `message_of`.

        Raises:
            MessageFileError: the rest is cut off or damaged.
        """
        while (data := self._frame(f"after {self._count} messages")) is not None:
            self._count += 1
            yield data

    def message_of(self, data: bytes) -> Message:
        """The message of some bytes.

        Raises:
            MessageFileError: they are none.
        """
        try:
            message = self._wire.from_bytes(data)
        except WireError:
            message = None
        if message is None:
            raise MessageFileError(f"damaged after {self._count - 1} messages")
        return message

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def tell(self) -> int:
        """Bytes up to the end of the last frame."""
        return self._file.tell()

    def _header(self) -> Header:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            raise MessageFileError("no file that --dump has written")
        try:
            header = msgspec.msgpack.decode(self._frame("in its header") or b"", type=Header)
        except msgspec.MsgspecError:
            raise MessageFileError("damaged in its header") from None
        if header.wire != WIRE_VERSION:
            raise MessageFileError(
                f"written by posestream {header.posestream} with messages of version {header.wire}; this one reads "
                f"version {WIRE_VERSION}"
            )
        return header

    def _frame(self, where: str) -> bytes | None:
        """The next frame's bytes; None at the file's end."""
        start = self._file.read(_FRAME.size)
        if not start:
            return None
        if len(start) < _FRAME.size:
            raise MessageFileError(f"cut short {where}")
        length, told = _FRAME.unpack(start)
        data = self._file.read(min(length, _BYTES_MAX))
        if len(data) < min(length, _BYTES_MAX):
            raise MessageFileError(f"cut short {where}")
        if length > _BYTES_MAX or _sum(data) != told:
            raise MessageFileError(f"damaged {where}")
        return data


def _whole_bytes(path: Path) -> int:
    """Up to where a file holds whole frames."""
    reader = MessageReader(os.fspath(path))
    end = reader.tell()
    try:
        for _ in reader.payloads():
            end = reader.tell()
    except MessageFileError:
        pass
    finally:
        reader.close()
    return end


def _sum(data: bytes) -> int:
    return crc32(data, len(data))  # begun with the length: a frame of zeros is none


def _no_picture(_slot: Slot, _height: int, _width: int) -> NDArray[np.uint8]:
    raise WireError("a file of messages holds no pictures")


def _version() -> str:
    try:
        return importlib.metadata.version("posestream")
    except importlib.metadata.PackageNotFoundError:  # it runs from its folder
        return "unknown"
