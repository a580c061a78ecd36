"""The keypoint stream on the wire: what a publisher sends and a subscriber reads.

A message has three parts: the topic, which is the source's name in UTF-8; a `Head`; and a body, a `Record` or a
`State` as the head says. Head and body are both msgpack or both JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from stream.records import Record

MESSAGE_BYTES_MAX = 1 << 22
"""A subscriber refuses a longer part."""
HEARTBEAT_MS = 1_000
"""A connection is probed so often."""
HEARTBEAT_TIMEOUT_MS = 5_000
"""A connection on which nothing came for so long is given up."""

Format = Literal["msgpack", "json"]
Condition = Literal["starting", "ok", "degraded", "reconnecting", "failed", "paused", "ended", "stopped"]
"""How a source is. ended: the source itself has, and nothing follows; stopped: the run was interrupted."""


class PublishedError(ValueError):
    """Bytes that are no message of the keypoint stream."""


class Head(Struct, frozen=True):
    """What a message is and where in its topic it stands."""

    kind: Literal["record", "state"]
    seq: int
    """Records of the topic up to here: a record's own number, from 1; with a state the last record's, 0 before any."""
    run: str
    """Differs each time a publisher starts: numbers of another run are not to be compared."""


class State(Struct, frozen=True):
    """How a source is, sent when that changes and to whoever joins late."""

    source: str
    status: Condition
    keypoints: tuple[str, ...]
    """Names of the keypoints, in the order of the records."""
    limbs: tuple[tuple[int, int], ...]
    """Pairs of keypoints that a line joins, as indices into `keypoints`."""
    reason: str = ""
    """One line for people; empty if all is well."""
    record: Record | None = None
    """The last one; None: there was none yet."""
    record_schema: str = ""
    """JSON Schema of a record."""


def encoder(format: Format) -> Callable[[Any], bytes]:
    """From a struct to its bytes."""
    return msgspec.json.Encoder().encode if format == "json" else msgspec.msgpack.Encoder().encode


class Decoder:
    """Reads messages of either format."""

    def __init__(self) -> None:
        kinds = (Head, Record, State)
        self._json = {kind: msgspec.json.Decoder(kind) for kind in kinds}
        self._msgpack = {kind: msgspec.msgpack.Decoder(kind) for kind in kinds}

    def decode(self, head: bytes, body: bytes) -> tuple[Head, Record | State]:
        """Head and body of a message.

        Raises:
            PublishedError: they are none of this version.
        """
        by_kind: Any = self._json if head[:1] == b"{" else self._msgpack  # which in msgpack is the number 123
        try:
            decoded: Head = by_kind[Head].decode(head)
            return decoded, by_kind[Record if decoded.kind == "record" else State].decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PublishedError(str(error)) from error
