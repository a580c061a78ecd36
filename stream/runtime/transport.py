"""The sockets of one group of stages, and all that the project knows of ZeroMQ.

Every queue is PUSH to PULL with one receiver. What bounds it is the credits: a frame travels
only in a slot of its decoder's frame store, and the last group sends each slot back when it is
done with it. So the queues' own high-water marks are off, and nothing is ever dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import msgspec
import zmq

from configs.errors import PosestreamError
from stream.messages import Message, Pixels, Slot, Wire, frame_of
from stream.runtime import reports
from stream.runtime.frame_store import FrameStore
from stream.runtime.reports import Command, Report
from stream.runtime.topology import GroupSpec

_NO_MORE = b""  # a sender's last word
_MESSAGE_BYTES_MAX = 1 << 24
_CONNECT_MS = 30_000
_TICK_MS = 200  # how late a command or a beat may be
_LINGER_MS = 5_000  # a closing socket still delivers for so long


class LinkError(PosestreamError, RuntimeError):
    """A neighbour could not be reached."""


class Stopped(Exception):
    """The run ends while a frame waits for a free slot."""


class Link:
    """A group's ends: its inbox, its outlet, the credits and the supervisor."""

    def __init__(
        self, spec: GroupSpec, context: zmq.Context[zmq.Socket[bytes]], stores: Mapping[int, FrameStore]
    ) -> None:
        self._spec, self._context, self._stores = spec, context, stores
        self._wire = Wire(lambda slot, height, width: stores[slot.store].picture(slot, height, width))
        self._slots = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Slot)
        self._sockets: list[zmq.Socket[bytes]] = []
        self._poller = zmq.Poller()
        self._control = self._socket(zmq.DEALER, spec.control)
        self._inbox = self._socket(zmq.PULL, spec.inbox) if spec.inbox else None
        self._credits = self._socket(zmq.PULL, spec.credits[0]) if spec.outlet and spec.credits else None
        self._outlet: zmq.Socket[bytes] | None = None
        self._credit_outlets: list[zmq.Socket[bytes]] = []
        self._senders = spec.senders
        self.told: set[Command] = set()
        """Commands so far."""
        self.sent_bytes = 0
        self.beat: Callable[[], None] = lambda: None
        """Called at least every 200 ms while the group waits."""

    def connect(self) -> None:
        """Reach the neighbours; waits for them.

        Raises:
            LinkError: one was not there in 30 s.
        """
        if self._spec.outlet:
            self._outlet = self._socket(zmq.PUSH, self._spec.outlet)
        else:
            self._credit_outlets = [self._socket(zmq.PUSH, address) for address in self._spec.credits]
        for socket in [self._outlet, *self._credit_outlets]:
            if socket is not None and not socket.poll(_CONNECT_MS, zmq.POLLOUT):
                raise LinkError(f"group {self._spec.name} could not reach its neighbour in {_CONNECT_MS // 1000} s")

    def report(self, report: Report) -> None:
        """Tell the supervisor."""
        self._control.send(reports.to_bytes(report))

    def wait_for(self, command: Command) -> None:
        """Wait until the supervisor has said this, or that the run ends."""
        while not self.told & {command, "stop", "abandon"}:
            self._poll(_TICK_MS)

    def stopping(self) -> bool:
        """Tell whether the run is to end early; reads commands, never waits."""
        self._poll(0)
        return bool(self.told & {"stop", "abandon"})

    def receive(self, wait_s: float | None) -> Message | None:
        """Give the next message.

        Args:
            wait_s: how long to wait for one; None: until one comes.

        Returns:
            None where none came in time, and, after all senders are done or the run is abandoned, for good.
        """
        assert self._inbox is not None
        self._poll(0)
        until_s = None if wait_s is None else time.monotonic() + wait_s
        while not self.ended():
            if self._inbox.poll(0):
                data = self._inbox.recv()
                if data != _NO_MORE:
                    return self._wire.from_bytes(data)
                self._senders -= 1
                continue
            left_ms = _TICK_MS if until_s is None else min(_TICK_MS, 1000 * (until_s - time.monotonic()))
            if left_ms <= 0:
                return None
            self._poll(math.ceil(left_ms))
        return None

    def ended(self) -> bool:
        """Tell whether nothing more will come."""
        return self._senders <= 0 or "abandon" in self.told

    def send(self, message: Message) -> None:
        """Hand a message on, or, in the last group, send its frame's slot back.

        Waits for a free slot where its picture lies in none yet: that is the back-pressure.

        Raises:
            Stopped: the run ends before a slot is free.
        """
        frame = frame_of(message)
        if self._outlet is None:
            if frame is not None and frame.pixels.slot is not None and self._credit_outlets:
                self._give_back(frame.pixels.slot)
            return
        if frame is not None and frame.pixels.slot is None:
            message = _with_pixels(message, self._place(frame.pixels))
        data = self._wire.to_bytes(message)
        self.sent_bytes += len(data)
        self._push(data)

    def finish(self) -> None:
        """Tell the receiver that nothing more comes from here."""
        if self._outlet is not None:
            self._push(_NO_MORE)

    def close(self) -> None:
        """Close all sockets; what was sent is still delivered."""
        for socket in self._sockets:
            socket.close()

    def _place(self, pixels: Pixels) -> Pixels:
        store = self._stores[self._spec.store]
        while not store.free:
            self._poll(_TICK_MS)
            if self.told & {"stop", "abandon"}:
                raise Stopped
        slot = store.put(pixels.array)
        return Pixels(pixels.array, slot)

    def _push(self, data: bytes) -> None:
        assert self._outlet is not None
        while not self._outlet.poll(_TICK_MS, zmq.POLLOUT):  # the receiver is gone: the run is about to be ended
            self._poll(0)
            if self.told & {"stop", "abandon"}:
                return
        self._outlet.send(data)

    def _give_back(self, slot: Slot) -> None:
        try:
            self._credit_outlets[slot.store].send(self._slots[0].encode(slot), zmq.NOBLOCK)
        except zmq.Again:  # the decoder has finished and is gone: it needs no slot any more
            return

    def _poll(self, wait_ms: int) -> None:
        """Wait for anything, take commands and credits; messages stay in the inbox."""
        self.beat()
        ready = dict(self._poller.poll(wait_ms))
        while self._control in ready and self._control.poll(0):
            self.told.add(msgspec.msgpack.decode(self._control.recv(), type=Command))
        while self._credits is not None and self._credits in ready and self._credits.poll(0):
            slot = self._slots[1].decode(self._credits.recv())
            self._stores[slot.store].release(slot)

    def _socket(self, kind: int, address: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.LINGER, _LINGER_MS)
        if kind == zmq.PULL:
            socket.setsockopt(zmq.MAXMSGSIZE, _MESSAGE_BYTES_MAX)
            socket.bind(address)
        else:
            socket.setsockopt(zmq.IMMEDIATE, 1)  # so that POLLOUT means: the neighbour is there
            if kind == zmq.DEALER:
                socket.setsockopt(zmq.ROUTING_ID, self._spec.name.encode())
            socket.connect(address)
        if kind != zmq.PUSH:
            self._poller.register(socket, zmq.POLLIN)
        return socket


class Desk:
    """The supervisor's end of the control sockets."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _MESSAGE_BYTES_MAX)
        self._socket.bind(address)

    def receive(self, wait_s: float) -> tuple[str, Report] | None:
        """Give the next report and its group's name; None if none comes in time."""
        if not self._socket.poll(int(wait_s * 1000)):
            return None
        name, data = self._socket.recv_multipart()
        return name.decode(), reports.from_bytes(data)

    def tell(self, group: str, command: Command) -> None:
        """Tell a group; one that is gone is told nothing."""
        try:
            self._socket.send_multipart([group.encode(), msgspec.msgpack.encode(command)])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def new_context() -> zmq.Context[zmq.Socket[bytes]]:
    """Give this process' context."""
    return zmq.Context()


def _with_pixels(message: Message, pixels: Pixels) -> Message:
    frame = frame_of(message)
    assert frame is not None
    placed = msgspec.structs.replace(frame, pixels=pixels)
    if message is frame:
        return placed
    return msgspec.structs.replace(message, frame=placed)
