"""The sink that publishes keypoints as they come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import msgspec

from configs.schema import PublishSettings
from engines.ops.skeleton import Skeleton
from stream.keys import KeyFolder
from stream.messages import Begin, Drop, End, Message, Status, Tracks
from stream.published import Condition, State
from stream.records import Record, Recorder
from stream.sinks.broadcast import Broadcast
from stream.sinks.endpoint import broker_of, endpoint_of, is_broker
from stream.sources.credentials import user_in
from stream.stage import Stage


class Outlet(Protocol):
    """One address at which records are published; whoever reads there, nobody waits for them."""

    address: str
    """For people."""

    def tell(self, state: State) -> None:
        """Say how a source is; before its first record."""

    def send(self, record: Record) -> None:
        """Publish a record."""

    def close(self) -> None:
        """Release what was opened."""


class Publish(Stage):
    """Tracks and drops in and on; a record a frame, and how each source is, to all addresses.

    Raises:
        ConfigError: an address cannot be used.
        OutputError: an address cannot be had.
        RefusedError: other machines reach it, and nobody has a key.
    """

    def __init__(self, settings: PublishSettings, skeleton: Skeleton, credentials: str | None = None) -> None:
        self._settings, self._credentials = settings, credentials
        self._skeleton = skeleton
        self._schema = msgspec.json.encode(msgspec.json.schema(Record)).decode()
        self._recorders: dict[str, Recorder] = {}
        self._states: dict[str, State] = {}
        self._outlets: list[Outlet] = []
        self.notes: list[str] = []
        with ExitStack() as opened:
            for address in settings.addresses:
                self._outlets.append(self._opened(address))
                opened.callback(self._outlets[-1].close)
            self._close = opened.pop_all().close
        self.notes += [f"keypoints are published at {outlet.address}" for outlet in self._outlets]

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

    def _opened(self, address: str) -> Outlet:
        settings = self._settings
        if not is_broker(address):
            return Broadcast(endpoint_of(address), KeyFolder(settings.keys))
        from stream.sinks.mqtt import Mqtt

        broker = broker_of(address)
        file = self._credentials
        login = None if file is None else user_in(os.path.expanduser(file), broker.host)
        return Mqtt(broker, login, settings.mqtt_rate_hz_max, self.notes.append)

    def _tell(self, source: str, status: Condition, reason: str = "") -> None:
        skeleton = self._skeleton
        state = State(source, status, skeleton.names, skeleton.limbs, reason, record_schema=self._schema)
        self._states[source] = state
        for outlet in self._outlets:
            outlet.tell(state)
