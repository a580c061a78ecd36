"""The sockets of one group of stages, and all that the project knows of ZeroMQ.

Every queue is PUSH to PULL with one receiver; who feeds a pool has a queue to each worker. What bounds them are the
credits: a frame travels only in a slot of its decoder's frame store, and whoever is done with the frame releases the
slot. So the queues' own high-water marks are off, and nothing is ever dropped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec
import zmq

from configs.errors import PosestreamError
from stream.changes import Add, Change, Pause, Remove, Resume
from stream.figures import RunFigures
from stream.messages import Frame, Message, Pixels, frame_of
from stream.runtime import reports
from stream.runtime.frame_store import FrameStore
from stream.runtime.reports import Abandon, Command, Go, Hold, Report, Slots, Stop
from stream.runtime.spread import Spread
from stream.runtime.topology import GroupSpec
from stream.wire import Wire

_NO_MORE = b""  # a sender's last word
_MESSAGE_BYTES_MAX = 1 << 24
_CONNECT_MS = 30_000
_TICK_MS = 200  # how late a command or a beat may be
_LINGER_MS = 5_000  # a closing socket still delivers for so long


class LinkError(PosestreamError, RuntimeError):
    """A neighbour could not be reached."""


class GroupSockets:
    """A group's ends: its inbox, its outlet, its frame store and the supervisor."""

    def __init__(
        self, spec: GroupSpec, context: zmq.Context[zmq.Socket[bytes]], stores: Mapping[int, FrameStore]
    ) -> None:
        """Reach the supervisor; nobody else yet."""
        self._spec, self._context, self._stores = spec, context, stores
        self._wire = Wire(lambda slot, height, width: stores[slot.store].picture(slot, height, width))
        self._sockets: list[zmq.Socket[bytes]] = []
        self._poller = zmq.Poller()
        self._control = self._socket(zmq.DEALER, spec.control)
        self._inbox: zmq.Socket[bytes] | None = None
        self._outlets: list[zmq.Socket[bytes]] = []
        self._spread = Spread(len(spec.outlets)) if len(spec.outlets) > 1 else None
        self._store = stores.get(spec.store)
        if self._store is not None:
            self._poller.register(self._store.fds.listen, zmq.POLLIN)
        self._senders = spec.senders
        self._wire.era = spec.era
        self._slots: int | None = None
        self._commands: set[type[Command]] = set()
        self._changes: list[Change] = []
        self._go: Go | None = None
        self.restarted: Go | None = None
        """A `Go` after a restart that was not answered yet by `resume`."""
        self.sent_bytes = 0
        self.beat: Callable[[], None] = lambda: None
        """Called at least every 200 ms while the group waits."""
        self.take_figures: Callable[[RunFigures], None] = lambda figures: None
        """Called when the supervisor tells where the run stands."""

    def connect(self) -> None:
        """Bind the inbox and wait until the neighbours can be reached.

        Raises:
            LinkError: it was not there in 30 s.
        """
        if self._spec.inbox:
            self._inbox = self._socket(zmq.PULL, self._spec.inbox)
        self._outlets = [self._socket(zmq.PUSH, address) for address in self._spec.outlets]
        for outlet in self._outlets:
            if not outlet.poll(_CONNECT_MS, zmq.POLLOUT):
                raise LinkError(f"group {self._spec.name} could not reach its neighbour in {_CONNECT_MS // 1000} s")

    def report(self, report: Report) -> None:
        """Tell the supervisor."""
        self._control.send(reports.to_bytes(report))

    def wait_to_go(self) -> Go | None:
        """The command to begin, once it comes; None if the run ends before."""
        while not self._commands - {Hold}:
            self._poll(_TICK_MS)
        return self._go

    def stopping(self) -> bool:
        """Whether the run is to end early; reads commands, never waits."""
        self._poll(0)
        return self._is_stopped()

    def changes(self) -> list[Change]:
        """What is to change among the sources, told since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def receive(self, wait_s: float | None) -> Message | None:
        """The next message; None if none came in time.

        Always None once every sender has finished or the run was abandoned.

        Args:
            wait_s: how long to wait for one; None: until one comes.
        """
        assert self._inbox is not None
        self._poll(0)
        until_s = None if wait_s is None else time.monotonic() + wait_s
        while not self.ended():
            if self._inbox.poll(0):
                data = self._inbox.recv()
                if data == _NO_MORE:
                    self._senders -= 1
                elif (message := self._wire.from_bytes(data)) is not None:
                    return message
                continue
            left_ms = _TICK_MS if until_s is None else min(_TICK_MS, 1000 * (until_s - time.monotonic()))
            if left_ms <= 0:
                return None
            self._poll(math.ceil(left_ms))
        return None

    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._senders <= 0 or Abandon in self._commands

    def wait_for_slot(self) -> bool:
        """Wait until a frame may be read: that is the back-pressure.

        False: the run ends before a slot is free, or `restarted` wants an answer.
        """
        self._poll(0)
        while Hold in self._commands or not self._has_slot():
            if self._is_stopped() or self.restarted:
                return False
            self._poll(_TICK_MS)
        return not self.restarted

    def resume(self) -> Go:
        """The `Go` after a restart; from now on messages are of its era."""
        go, self.restarted = self.restarted, None
        assert go is not None
        self._wire.era = go.era
        if self._spread:
            self._spread.again()
        return go

    def send(self, message: Message) -> None:
        """Hand a message on, its frame's slot with it; a frame that lies in none is put into one.

        A frame that waits for a slot when the run ends is left out, and all that waits while stages are restarted.
        """
        receivers: Sequence[int] = (0,)
        if self._spread:
            message, receivers = self._spread.shared(message, self._held)
        frame = frame_of(message)
        if frame is not None and frame.pixels is not None:
            owner = self._spec.nexts[receivers[0]]
            if frame.pixels.slot is not None:
                self._stores[frame.pixels.slot.store].pass_on(frame.pixels.slot, owner)
            elif not self.wait_for_slot():
                return
            else:
                message = _with_pixels(message, self._placed(frame.pixels, owner, frame.index))
        data = self._wire.to_bytes(message)
        self.sent_bytes += len(data)
        for receiver in receivers:
            self._push(data, self._outlets[receiver])

    def release(self, frame: Frame) -> None:
        """Free the slot of a frame that is done with."""
        if frame.pixels is not None and frame.pixels.slot is not None:
            self._stores[frame.pixels.slot.store].release(frame.pixels.slot)

    def begin_on(self, frame: Frame) -> None:
        """Note where the supervisor sees it that this group begins to work on a frame: it may die of it."""
        if frame.pixels is not None and frame.pixels.slot is not None:
            self._stores[frame.pixels.slot.store].take(frame.pixels.slot)

    def end_source(self) -> None:
        """Note where the supervisor sees it that the source at hand has been read."""
        if self._store is not None:
            self._store.sources_read += 1

    def finish(self) -> None:
        """Tell the receivers that nothing more comes from here."""
        for outlet in self._outlets:
            self._push(_NO_MORE, outlet)

    def close(self) -> None:
        """Close all sockets; what was sent is still delivered."""
        for socket in self._sockets:
            socket.close()

    def _is_held(self) -> bool:
        return Hold in self._commands or self.restarted is not None

    def _is_stopped(self) -> bool:
        return bool(self._commands & {Stop, Abandon})

    def _has_slot(self) -> bool:
        return self._store is None or self._store.has_free(self._slots)

    def _held(self, receiver: int) -> int:
        return sum(store.held(self._spec.nexts[receiver]) for store in self._stores.values())

    def _placed(self, pixels: Pixels, owner: int, index: int) -> Pixels:
        assert self._store is not None
        return Pixels(pixels.array, self._store.put(pixels.array, owner, index))

    def _push(self, data: bytes, outlet: zmq.Socket[bytes]) -> None:
        while not outlet.poll(_TICK_MS, zmq.POLLOUT):  # the receiver is gone: the run is ended or restarted
            self._poll(0)
            if self._is_stopped() or self._is_held():
                return
        outlet.send(data)

    def _poll(self, wait_ms: int) -> None:
        """Wait for anything and take commands; messages stay in the inbox."""
        self.beat()
        ready = dict(self._poller.poll(wait_ms))
        while self._control in ready and self._control.poll(0):
            self._obey(reports.command_from(self._control.recv()))
        if self._store is not None and self._store.fds.listen in ready:
            self._store.hush()

    def _obey(self, command: Command) -> None:
        match command:
            case Add() | Remove() | Pause() | Resume():
                self._changes.append(command)
            case RunFigures():
                self.take_figures(command)
            case Slots():
                self._slots = command.slots
            case Go():
                self._go, self._slots = command, command.slots
                if self._spread:
                    self._spread.together = command.together
                self._commands.add(Go)
                self._commands.discard(Hold)
                self.restarted = command if command.era != self._wire.era else None
            case _:
                self._commands.add(type(command))

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
                socket.setsockopt(zmq.ROUTING_ID, self._spec.identity.encode())
            socket.connect(address)
        if kind != zmq.PUSH:
            self._poller.register(socket, zmq.POLLIN)
        return socket


class ControlServer:
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
        """The next report and its group's identity; None if none comes in time."""
        if not self._socket.poll(int(wait_s * 1000)):
            return None
        name, data = self._socket.recv_multipart()
        return name.decode(), reports.report_from(data)

    def send(self, group: str, command: Command) -> None:
        """Tell a group; one that is gone is told nothing."""
        try:
            self._socket.send_multipart([group.encode(), reports.to_bytes(command)])
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def new_context() -> zmq.Context[zmq.Socket[bytes]]:
    """A context for this process."""
    return zmq.Context()


def _with_pixels(message: Message, pixels: Pixels | None) -> Message:
    frame = frame_of(message)
    assert frame is not None
    placed = msgspec.structs.replace(frame, pixels=pixels)
    return placed if message is frame else msgspec.structs.replace(message, frame=placed)
