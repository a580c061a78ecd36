"""Keypoints to an MQTT broker, as home automation reads them."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from stream.published import State
from stream.records import Record
from stream.sinks.endpoint import Broker

_UNDER_WAY_MAX = 64  # messages that a broker may leave waiting; what is more it loses
_CONNECT_TIMEOUT_S = 3.0
_KEEPALIVE_S = 15
_RETRY_S, _RETRY_MAX_S = 1, 30
_LINGER_S = 1.0
_ONLINE = ("ok", "degraded")


class Mqtt:
    """A client of a broker, in a thread of its own: whatever the broker does, nobody waits for it.

    Below the address's topic: `SOURCE/keypoints`, a JSON record, QoS 0, not retained; `SOURCE/available`, retained,
    online while frames come, else offline; `available`, retained, offline also after a crash.
    """

    def __init__(
        self,
        broker: Broker,
        login: tuple[str, str] | None,
        rate_hz_max: float,
        note: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to connect; a broker that is not there is tried again and again.

        Args:
            broker: where.
            login: user and password; None: neither.
            rate_hz_max: records of one source a second at most.
            note: called with what the user should know.
            clock_s: what the rate is measured by.
        """
        self._broker, self._note, self._clock_s = broker, note, clock_s
        self._every_s = 1 / rate_hz_max
        self._due_s: dict[str, float] = {}
        self._available: dict[str, str] = {}
        self._under_way = deque[MQTTMessageInfo]()
        self._lock = threading.Lock()
        self._refused = ""
        self._client = Client(CallbackAPIVersion.VERSION2, f"posestream-{secrets.token_hex(6)}")
        self._client.connect_timeout = _CONNECT_TIMEOUT_S
        self._client.reconnect_delay_set(_RETRY_S, _RETRY_MAX_S)
        self._client.will_set(self._topic("available"), "offline", retain=True)
        self._client.on_connect = self._connected
        if login is not None:
            self._client.username_pw_set(*login)
        self.address = broker.given
        """Where records are published."""
        self._client.connect_async(broker.host, broker.port, _KEEPALIVE_S)
        self._client.loop_start()

    def tell(self, state: State) -> None:
        """Send whether a source gives frames."""
        available = "online" if state.status in _ONLINE else "offline"
        with self._lock:
            if self._available.get(state.source) != available:
                self._available[state.source] = available
                self._publish(self._topic(state.source, "available"), available, retain=True)

    def send(self, record: Record) -> None:
        """Send a record, unless the source's last one was sent just before."""
        now_s = self._clock_s()
        with self._lock:
            if now_s < self._due_s.get(record.source, now_s):
                return
            # from when it was due, not from now: else a camera of 25 fps at a rate of 10 would come down to 8.3
            due_s = self._due_s.get(record.source, now_s) + self._every_s
            self._due_s[record.source] = max(due_s, now_s)
            self._publish(self._topic(record.source, "keypoints"), msgspec.json.encode(record))

    def close(self) -> None:
        """Say that all is offline and disconnect; what the broker does not take within a second is lost."""
        with self._lock:
            for source, available in self._available.items():
                if available == "online":
                    self._publish(self._topic(source, "available"), "offline", retain=True)
            last = self._client.publish(self._topic("available"), "offline", retain=True)
        with suppress(RuntimeError):  # there is no connection
            last.wait_for_publish(_LINGER_S)
        stuck = not _is_done(last)
        self._client.disconnect()
        socket: Any = self._client.socket()
        if stuck and socket is not None:
            socket.close()  # the thread would wait for the broker to read on
        self._client.loop_stop()

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        """Say again what is retained: the broker may have forgotten, and has sent the will meanwhile."""
        if reason.is_failure:
            if self._refused != str(reason):
                self._refused = str(reason)
                self._note(
                    f"publish {self._broker.given}: refused: {reason}; a line of live.credentials names the user"
                )
            return
        self._refused = ""
        with self._lock:
            self._under_way.clear()  # what the lost connection had not delivered
            client.publish(self._topic("available"), "online", retain=True)
            for source, available in self._available.items():
                client.publish(self._topic(source, "available"), available, retain=True)

    def _publish(self, topic: str, payload: str | bytes, retain: bool = False) -> None:
        while self._under_way and _is_done(self._under_way[0]):
            self._under_way.popleft()
        if len(self._under_way) < _UNDER_WAY_MAX:
            info = self._client.publish(topic, payload, retain=retain)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._under_way.append(info)

    def _topic(self, *parts: str) -> str:
        """A topic below the address's; / + # % of a source's name as in a URL."""
        named = (re.sub(r"[/+#%]", lambda found: f"%{ord(found[0]):02X}", part) for part in parts)
        return "/".join([self._broker.topic, *named])


def _is_done(info: MQTTMessageInfo) -> bool:
    try:
        return info.is_published()
    except RuntimeError:  # it was lost with the connection
        return True
