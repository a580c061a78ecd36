"""NumPy arrays in msgpack: shape and raw bytes; the dtype stands in the type that is decoded to."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

import msgspec
import numpy as np

T = TypeVar("T")


def to_plain(value: Any) -> tuple[tuple[int, ...], Any]:
    """Shape and bytes of an array, as msgspec's `enc_hook` gives them.

    Raises:
        TypeError: it is no array.
    """
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a {type(value).__name__} cannot be encoded")
    return value.shape, np.ascontiguousarray(value).data.cast("B") if value.size else b""


def from_plain(kind: Any, plain: Any) -> Any:
    """A read-only array of the dtype that `kind`, an NDArray, names; msgspec's `dec_hook`."""
    shape, raw = plain
    return np.frombuffer(raw, get_args(get_args(kind)[1])[0]).reshape(shape)


def pack(value: Any) -> bytes:
    """The bytes of a struct that holds arrays."""
    return msgspec.msgpack.encode(value, enc_hook=to_plain)


def unpack(data: bytes, kind: type[T]) -> T:
    """The struct that `pack` was given; its arrays are read-only.

    Raises:
        msgspec.MsgspecError: the bytes are none of that kind.
    """
    return msgspec.msgpack.decode(data, type=kind, dec_hook=from_plain)
