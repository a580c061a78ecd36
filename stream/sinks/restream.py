"""The sink that sends the annotated video out as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from configs.outlets import RestreamSettings
from configs.sources import LiveSettings
from stream.messages import Begin, End, Message, Tracks
from stream.sinks.restream_target import Target, target_of
from stream.sinks.side_process import Said, SideProcess
from stream.stage import Stage

_RESTART_S = 5.0
PROCESS = "stream.sinks.restream_process"


class SendOrders(Struct, frozen=True):
    """What a sending process is to do."""

    target: Target
    fps: float
    """Average rate of the frames."""
    live: str
    """`LiveSettings` as JSON: when to try again."""

    def __repr__(self) -> str:
        return f"SendOrders({self.target.label!r})"


class Restream(Stage):
    """Tracks with drawn pictures in and on; each source's go to its address, the newest first.

    A process a source encodes and sends: however slow the network is, the pipeline does not wait, and frames are left
    out. A connection that breaks is made again, and so is the process if it hangs or dies.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(self, settings: RestreamSettings, live: LiveSettings) -> None:
        self._address = settings.address or ""
        self._live = live.model_copy(update={"reconnect_limit": None})
        self._hung_after_s = 2 * (live.connect_timeout_s + live.read_timeout_s)
        self._senders: dict[str, _Sender] = {}
        self._ended: list[_Sender] = []
        self._left_out: dict[str, int] = {}
        self.notes: list[str] = []

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Begin():
                self._start(message.spec.name, message.fps)
            case Tracks():
                sender = self._senders[message.frame.source]
                if sender.is_lost(self._hung_after_s):
                    sender.process.kill()
                    self.notes.append(f"restream {sender.label}: hangs or was killed; it is started again")
                    sender = self._start(message.frame.source, sender.fps)
                sender.process.offer(message.frame)
            case End():
                self._end(message.source)
        yield message

    def left_out(self, source: str) -> Mapping[str, int]:
        frames = sum(sender.left_out for sender in self._ended if sender.source == source)
        return {"restream": frames} if frames else {}

    def close(self) -> None:
        for source in list(self._senders):
            self._end(source)
        for sender in self._ended:
            sender.process.join()

    def _start(self, source: str, fps: float) -> _Sender:
        self._end(source)
        target = target_of(self._address, source, self._live)
        orders = SendOrders(target, fps, self._live.model_dump_json())
        process = SideProcess(PROCESS, msgspec.json.encode(orders), self._hear)
        self._senders[source] = _Sender(source, target.label, fps, process, time.monotonic())
        return self._senders[source]

    def _end(self, source: str) -> None:
        """Let a source's process finish; it is not waited for here."""
        if source in self._senders:
            self._ended.append(self._senders.pop(source))
            self._ended[-1].process.end()

    def _hear(self, said: Said) -> None:
        self.notes.append(said.note)


class _Sender(Struct, frozen=True):
    source: str
    label: str
    fps: float
    process: SideProcess
    started_s: float

    def is_lost(self, hung_after_s: float) -> bool:
        """Whether another process should take over; at most one each few seconds."""
        lost = self.process.is_gone or self.process.busy_s > hung_after_s
        return lost and time.monotonic() - self.started_s > _RESTART_S

    @property
    def left_out(self) -> int:
        return self.process.left_out(self.source) + self.process.lost
