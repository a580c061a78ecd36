"""The socket of the keypoint stream: sends to whoever reads, waits for nobody."""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

import zmq
from msgspec import structs
from zmq.utils import z85

from configs.errors import OutputError
from stream.keys import KeyFolder, KeyPair
from stream.published import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS, Head, State, encoder
from stream.records import Record
from stream.sinks.endpoint import Endpoint, check_keys, free_path

_QUEUE_MESSAGES = 256  # for one subscriber; what is more it loses, and learns from the numbers that it has
_INBOUND_BYTES_MAX = 1024  # a subscriber sends nothing but the names of topics
_HANDSHAKE_MS = 5_000
_LINGER_MS = 1_000
_TICK_MS = 100  # how late a late joiner is answered; all that joined meanwhile share one answer
_REPEAT_S = 1.0  # a subscriber that lost the last records, or the end, learns it so late
_REPEATED_S = 10.0  # of a source of which nothing came for so long nothing is repeated
_DOMAIN = b"posestream"  # with a ZAP domain libzmq refuses what is no ZMTP 3: HTTP, random bytes
_ZAP = "inproc://zeromq.zap.01"


@dataclass
class _Topic:
    state: State
    seq: int = 0
    record: Record | None = None
    touched_s: float = 0.0


class Broadcast:
    """An XPUB socket in a context of its own. A subscriber whose queue is full loses records; nobody else notices."""

    def __init__(self, endpoint: Endpoint, keys: KeyFolder) -> None:
        """Bind the socket.

        Raises:
            OutputError: the address cannot be had.
            RefusedError: other machines reach it, and nobody has a key.
        """
        check_keys(endpoint, keys)
        self._keys, self._path = keys, endpoint.path
        self._server = keys.server() if endpoint.beyond else None
        self._encode = encoder(endpoint.format)
        self._run = secrets.token_hex(8)
        self._topics: dict[str, _Topic] = {}
        self._lock = threading.Lock()  # the stage sends, the thread answers late joiners, both on one socket
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._zap = self._context.socket(zmq.REP)
            self._zap.setsockopt(zmq.LINGER, 0)
            self._zap.bind(_ZAP)
            self._socket = _bound(self._context, endpoint, self._server)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        """Where it can be subscribed to."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="publish", daemon=True)
        self._thread.start()

    def tell(self, state: State) -> None:
        """Send how a source is; its last record goes along."""
        with self._lock:
            topic = self._topics.setdefault(state.source, _Topic(state))
            topic.state, topic.touched_s = state, time.monotonic()
            self._send_state(topic)

    def send(self, record: Record) -> None:
        """Send a record of a source that `tell` was called with."""
        with self._lock:
            topic = self._topics[record.source]
            topic.seq, topic.record, topic.touched_s = topic.seq + 1, record, time.monotonic()
            self._send(record.source, Head("record", topic.seq, self._run), record)

    def close(self) -> None:
        """Close the socket; what subscribers have not got after a second they lose."""
        self._closing.set()
        self._thread.join()
        if self._path:
            with suppress(FileNotFoundError):
                os.unlink(self._path)  # libzmq leaves it
        self._zap.close()
        self._socket.close(linger=_LINGER_MS)
        self._context.term()

    def _serve(self) -> None:
        answered_s = repeated_s = time.monotonic()
        while not self._closing.is_set():
            if self._zap.poll(_TICK_MS):
                self._zap.send_multipart(self._verdict(self._zap.recv_multipart()))
            now_s = time.monotonic()
            if now_s - answered_s >= _TICK_MS / 1000:
                repeat = now_s - repeated_s >= _REPEAT_S
                answered_s, repeated_s = now_s, now_s if repeat else repeated_s
                with self._lock:
                    self._send_states(self._joined(), now_s - _REPEATED_S if repeat else now_s)

    def _joined(self) -> set[bytes]:
        """What was subscribed to since the last call: beginnings of topics."""
        joined = set[bytes]()
        while self._socket.poll(0):
            told = self._socket.recv()
            if told[:1] == b"\x01":
                joined.add(told[1:])
        return joined

    def _send_states(self, joined: set[bytes], touched_since_s: float) -> None:
        for source, topic in self._topics.items():
            if topic.touched_s > touched_since_s or any(source.encode().startswith(prefix) for prefix in joined):
                self._send_state(topic)

    def _verdict(self, request: list[bytes]) -> list[bytes]:
        """Answer to a handshake: https://rfc.zeromq.org/spec/27/."""
        version, number, _, _, _, mechanism, *credentials = request
        if self._server is None:
            allowed = mechanism == b"NULL"
        else:
            allowed = mechanism == b"CURVE" and self._keys.allows(z85.encode(credentials[0]))
        return [version, number, b"200" if allowed else b"400", b"OK" if allowed else b"not let in", b"", b""]

    def _send_state(self, topic: _Topic) -> None:
        self._send(
            topic.state.source,
            Head("state", topic.seq, self._run),
            structs.replace(topic.state, record=topic.record),
        )

    def _send(self, source: str, head: Head, body: State | Record) -> None:
        self._socket.send_multipart([source.encode(), self._encode(head), self._encode(body)], zmq.DONTWAIT)


def _bound(context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint, server: KeyPair | None) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # also who subscribes to what others have is noticed
    socket.setsockopt(zmq.SNDHWM, _QUEUE_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, _QUEUE_MESSAGES)
    socket.setsockopt(zmq.MAXMSGSIZE, _INBOUND_BYTES_MAX)
    socket.setsockopt(zmq.LINGER, _LINGER_MS)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.ZAP_DOMAIN, _DOMAIN)
    socket.setsockopt(zmq.IPV6, int("[" in endpoint.bind))
    if server is not None:
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = server.public.encode(), server.secret.encode()
    if endpoint.path:
        free_path(endpoint)
    try:
        socket.bind(endpoint.bind)
    except zmq.ZMQError as error:
        reason = zmq.strerror(error.errno or 0)
        raise OutputError(
            f"publish {endpoint.given}: {reason}; choose an address of this machine that is free"
        ) from None
    if endpoint.path:
        os.chmod(endpoint.path, 0o600)
    return socket
