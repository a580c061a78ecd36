"""For other programs: a running pipeline's tracked people, `for frame in subscribe("tcp://…", source="cam1")`.

Besides the standard library it needs pyzmq, msgspec and NumPy.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Generic, Literal, TypeVar, overload

import zmq
import zmq.asyncio
from msgspec import Struct

from configs.errors import ConfigError, SourceError
from stream.keys import ClientKey, read_secret
from stream.published import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, MESSAGE_BYTES_MAX, Decoder, PublishedError, State
from stream.records import Record

_QUEUE_RECORDS = 1_000  # what a subscriber that is busy may leave waiting
_RECONNECT_MS, _RECONNECT_MAX_MS = 100, 1_000


class Gap(Struct, frozen=True):
    """Records that did not arrive: the subscriber was too slow, or the connection was lost."""

    source: str
    records: int | None
    """How many are missing; None: the publisher was started anew, so nobody knows."""


T = TypeVar("T", bound=Record | Gap)


class Subscription(Generic[T], Iterator[T], AsyncIterator[T]):
    """Records as they come, in `for` or in `async for`; for one thread. `close()`, or `with`, ends it."""

    def __init__(self, address: str, source: str | None, gaps: bool, key: str | None, timeout_s: float | None) -> None:
        self._closed = True
        self.states: dict[str, State] = {}
        """Source -> how it is, and its keypoints' names."""
        self._address, self._gaps, self._timeout_s = address.partition("?")[0], gaps, timeout_s
        self._inbox = _Inbox(source, self.states)
        self._ready: deque[Record | Gap] = deque()
        secret = None if key is None else read_secret(key, ClientKey)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._closed = False
        try:
            self._socket = self._connected(source, secret)
        except zmq.ZMQError:
            self._context.term()
            self._closed = True
            raise ConfigError(
                f"{address} cannot be subscribed to; it should be tcp://HOST:PORT or ipc://PATH"
            ) from None
        self._async: zmq.asyncio.Socket | None = None

    def __iter__(self) -> Subscription[T]:
        return self

    def __next__(self) -> T:
        until_s = self._until_s()
        while (given := self._next_ready()) is None:
            if self._closed:
                raise StopIteration
            left_s = _left_s(until_s)
            if not self._socket.poll(None if left_s is None else math.ceil(1000 * left_s)):
                raise self._silence()
            self._take(self._socket.recv_multipart())
        return given

    def __aiter__(self) -> Subscription[T]:
        return self

    async def __anext__(self) -> T:
        until_s = self._until_s()
        while (given := self._next_ready()) is None:
            if self._closed:
                raise StopAsyncIteration
            if self._async is None:
                self._async = zmq.asyncio.Socket.from_socket(self._socket)
            try:
                self._take(await asyncio.wait_for(self._async.recv_multipart(), _left_s(until_s)))
            except TimeoutError:
                raise self._silence() from None
        return given

    def close(self) -> None:
        """Disconnect; the loop ends."""
        if not self._closed:
            self._closed = True
            if self._async is not None:
                self._async.close()
            self._socket.close(linger=0)
            self._context.term()

    def __enter__(self) -> Subscription[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _connected(self, source: str | None, key: ClientKey | None) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.SUB)
        try:
            socket.setsockopt(zmq.RCVHWM, _QUEUE_RECORDS)
            socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
            socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
            socket.setsockopt(zmq.IPV6, int("[" in self._address))
            if key is not None:
                socket.curve_serverkey = key.server.encode()
                socket.curve_publickey, socket.curve_secretkey = key.public.encode(), key.secret.encode()
            socket.setsockopt(zmq.SUBSCRIBE, (source or "").encode())
            socket.connect(self._address)
        except zmq.ZMQError:
            socket.close()
            raise
        return socket

    def _next_ready(self) -> T | None:
        while self._ready:
            given = self._ready.popleft()
            if self._gaps or isinstance(given, Record):
                return given  # type: ignore[return-value]
        if self._inbox.ended:
            self.close()
        return None

    def _take(self, parts: list[bytes]) -> None:
        try:
            self._ready.extend(self._inbox.take(parts))
        except PublishedError as error:
            raise SourceError(
                f"{self._address} sent what is no keypoints.v1: {error}; both ends need the same version of posestream"
            ) from None

    def _until_s(self) -> float | None:
        return None if self._timeout_s is None else time.monotonic() + self._timeout_s

    def _silence(self) -> TimeoutError:
        return TimeoutError(
            f"{self._address} sent no record for {self._timeout_s:g} s; is it published there, and is the key the "
            "right one?"
        )


def _left_s(until_s: float | None) -> float | None:
    return None if until_s is None else max(0.0, until_s - time.monotonic())


class _Inbox:
    """Messages to records in order, each once, and what is missing between them."""

    def __init__(self, source: str | None, states: dict[str, State]) -> None:
        self._source, self._states = source, states
        self._decoder = Decoder()
        self._at: dict[str, tuple[str, int]] = {}
        """Source -> its run and the number of its last record."""
        self.ended = False
        """The one source that is wanted has ended."""

    def take(self, parts: list[bytes]) -> list[Record | Gap]:
        """What a message brings that is new.

        Raises:
            PublishedError: it is none of the keypoint stream.
        """
        if len(parts) != 3:
            raise PublishedError(f"a message of {len(parts)} parts instead of 3")
        head, body = self._decoder.decode(parts[1], parts[2])
        if self._source not in (None, body.source):  # a longer name that begins like it
            return []
        record = body.record if isinstance(body, State) else body
        if isinstance(body, State):
            self._states[body.source] = body
            self.ended = self._source is not None and body.status == "ended"
        known = self._at.get(body.source)
        if known is None or known[0] != head.run or head.seq > known[1]:
            self._at[body.source] = (head.run, head.seq)
        if known is None:
            return [] if record is None else [record]
        if known[0] != head.run:
            return [Gap(body.source, None), *([] if record is None else [record])]
        if head.seq <= known[1] or record is None:
            return []
        missing = head.seq - known[1] - 1
        return [Gap(body.source, missing), record] if missing else [record]


@overload
def subscribe(
    address: str,
    source: str | None = None,
    *,
    gaps: Literal[False] = False,
    key: str | None = None,
    timeout_s: float | None = None,
) -> Subscription[Record]: ...


@overload
def subscribe(
    address: str,
    source: str | None = None,
    *,
    gaps: Literal[True],
    key: str | None = None,
    timeout_s: float | None = None,
) -> Subscription[Record | Gap]: ...


def subscribe(
    address: str,
    source: str | None = None,
    *,
    gaps: bool = False,
    key: str | None = None,
    timeout_s: float | None = None,
) -> Subscription[Record] | Subscription[Record | Gap]:
    """Records of a running pipeline as they come, the last one first; lost connections are made again.

    The loop ends when the one `source` has ended. It waits on where the pipeline was stopped or has crashed, and
    where all sources are wanted.

    Args:
        address: as `--publish` was given it, tcp://HOST:PORT or ipc://PATH.
        source: its name in the run; None: all sources.
        gaps: give a `Gap` too where records are missing.
        key: file that `python -m stream.keys new NAME` has made, for a pipeline on another machine.
        timeout_s: the longest wait for a record; None: without end.

    Raises:
        ConfigError: the address or the key file cannot be used.
        RefusedError: others may read the key file.
        SourceError: while reading: another program, or another version, publishes there.
        TimeoutError: while reading: nothing came for `timeout_s`; one may go on reading.
    """
    if gaps:
        return Subscription[Record | Gap](address, source, True, key, timeout_s)
    return Subscription[Record](address, source, False, key, timeout_s)
