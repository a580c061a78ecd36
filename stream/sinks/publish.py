"""The sink that publishes keypoints as they come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from configs.schema import PublishSettings
from engines.ops.skeleton import Skeleton
from stream.keys import KeyFolder
from stream.messages import Begin, Drop, End, Message, Status, Tracks
from stream.published import Condition, State
from stream.records import Record, Recorder
from stream.sinks.broadcast import Broadcast
from stream.sinks.endpoint import endpoint_of
from stream.stage import Stage


class Publish(Stage):
    """Tracks and drops in and on; a record a frame, and how each source is, to all addresses.

    Raises:
        ConfigError: an address cannot be used.
        OutputError: an address cannot be had.
        RefusedError: other machines reach it, and nobody has a key.
    """

    def __init__(self, settings: PublishSettings, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        self._schema = msgspec.json.encode(msgspec.json.schema(Record)).decode()
        self._recorders: dict[str, Recorder] = {}
        self._states: dict[str, State] = {}
        keys = KeyFolder(settings.keys)
        with ExitStack() as opened:
            self._outlets: list[Broadcast] = []
            for address in settings.addresses:
                self._outlets.append(Broadcast(endpoint_of(address), keys))
                opened.callback(self._outlets[-1].close)
            self._close = opened.pop_all().close
        self.notes = [f"keypoints are published at {outlet.address}" for outlet in self._outlets]

    def process(self, message: Message) -> Iterator[Message]:
        match message:
            case Status():
                self._tell(message.source, message.state, message.reason)
            case Begin():
                source = message.spec.name
                self._recorders[source] = Recorder(message.live)
                if source not in self._states or self._states[source].status == "starting":
                    self._tell(source, "ok")
            case Tracks():
                record = self._recorders[message.frame.source].record(message)
                for outlet in self._outlets:
                    outlet.send(record)
            case Drop():
                self._recorders[message.frame.source].drop(message)
            case End():
                self._recorders.pop(message.source, None)  # else it was never opened
                self._tell(message.source, "stopped" if message.stopped else "ended", message.problem)
        yield message

    def close(self) -> None:
        self._close()

    def _tell(self, source: str, status: Condition, reason: str = "") -> None:
        skeleton = self._skeleton
        state = State(source, status, skeleton.names, skeleton.limbs, reason, record_schema=self._schema)
        self._states[source] = state
        for outlet in self._outlets:
            outlet.tell(state)
