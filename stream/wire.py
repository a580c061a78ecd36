"""The bytes of messages, as they travel between stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream import arrays
from stream.messages import Message, Pixels, Slot, WireError

WIRE_VERSION = 6
"""Rises when a message of another version cannot be read; both ends of a socket must agree."""
ERAS = 256
"""Eras are counted modulo this."""


Picture = Callable[[Slot, int, int], NDArray[np.uint8]]
"""From a slot, a height and a width to the (H, W, 3) picture that lies there."""


class Wire:
    """Messages to bytes and back. Of a picture only its place travels."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.era = 0
        """How often the run's stages were restarted: a message of another era is stale."""
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_to_plain)
        self._decoder = msgspec.msgpack.Decoder(Message, dec_hook=self._from_plain)

    def to_bytes(self, message: Message) -> bytes:
        """The bytes of a message.

        Raises:
            WireError: its picture lies in no frame store.
        """
        return _HEADER + bytes([self.era % ERAS]) + self._encoder.encode(message)

    def from_bytes(self, data: bytes) -> Message | None:
        """The message that `to_bytes` was given; None if it is of another era.

        Raises:
            WireError: the bytes are no message of this version.
        """
        if data[: len(_HEADER)] != _HEADER or len(data) == len(_HEADER):
            raise WireError(f"message starts with {data[: len(_HEADER)]!r}; expected {_HEADER!r}")
        if data[len(_HEADER) : len(_HEADER) + 1] != bytes([self.era % ERAS]):
            return None
        try:
            message: Message = self._decoder.decode(memoryview(data)[len(_HEADER) + 1 :])
            return message
        except msgspec.MsgspecError as error:
            raise WireError(f"not a message of version {WIRE_VERSION}: {error}") from error

    def _from_plain(self, kind: Any, plain: Any) -> Any:
        if kind is Pixels:
            slot = Slot(*plain[:3])
            return Pixels(self._picture(slot, plain[3], plain[4]), slot)
        return arrays.from_plain(kind, plain)


_HEADER = b"ps" + bytes([WIRE_VERSION])


def _to_plain(value: Any) -> Any:
    if isinstance(value, Pixels):
        if value.slot is None:
            raise WireError("a picture that lies in no frame store cannot leave its process")
        slot, (height, width, _) = value.slot, value.array.shape
        return (slot.store, slot.index, slot.generation, height, width)
    return arrays.to_plain(value)
