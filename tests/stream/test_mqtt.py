"""Keypoints at a real MQTT broker, Debian's mosquitto; skipped where it or paho-mqtt is missing."""

from __future__ import annotations

import getpass
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from published import record, state

from configs.errors import ConfigError
from configs.schema import PublishSettings
from engines.ops.skeleton import COCO
from stream.sinks.endpoint import Broker, broker_of
from stream.sinks.publish import Publish

client = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed: pip install 'posestream[mqtt]'")
mqtt = pytest.importorskip("stream.sinks.mqtt")
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
needs_broker = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")
ROOT = Path(__file__).parents[2]
WAIT_S = 20.0


@contextmanager
def mosquitto(folder: Path, port: int, *lines: str) -> Iterator[psutil.Popen]:
    config = folder / "mosquitto.conf"
    head = [f"listener {port} 127.0.0.1", "log_dest stderr", f"user {getpass.getuser()}"]
    config.write_text("\n".join([*head, *(lines or ["allow_anonymous true"])]) + "\n")
    with psutil.Popen([MOSQUITTO, "-c", config], stderr=subprocess.PIPE, text=True) as broker:
        try:
            assert any("running" in line for line in broker.stderr), "mosquitto has ended"
            yield broker
        finally:
            broker.send_signal(signal.SIGCONT)
            broker.kill()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def broker(tmp_path: Path, port: int) -> Iterator[Any]:
    with mosquitto(tmp_path, port) as running:
        yield running


@contextmanager
def reader(port: int, topic: str = "home/#") -> Iterator[Callable[[], tuple[str, str, bool]]]:
    """Gives the next message: topic, payload, whether it was retained."""
    got: queue.Queue[tuple[str, str, bool]] = queue.Queue()
    subscribed: queue.Queue[None] = queue.Queue()
    one = client.Client(client.CallbackAPIVersion.VERSION2)
    one.on_message = lambda _client, _data, each: got.put((each.topic, each.payload.decode(), each.retain))
    one.on_connect = lambda *_: one.subscribe(topic)
    one.on_subscribe = lambda *_: subscribed.put(None)
    one.connect("127.0.0.1", port)
    one.loop_start()
    subscribed.get(timeout=WAIT_S)
    try:
        yield lambda: got.get(timeout=WAIT_S)
    finally:
        one.disconnect()
        one.loop_stop()


def outlet(port: int, **more: Any) -> Any:
    given = {"login": None, "rate_hz_max": 1000.0, "note": lambda _: None, **more}
    return mqtt.Mqtt(Broker("mqtt://127.0.0.1/home", "127.0.0.1", port, "home"), **given)


def until(take: Callable[[], tuple[str, str, bool]], *wanted: tuple[str, str]) -> None:
    """Take messages until each of these was among them."""
    left = set(wanted)
    while left:
        left.discard(take()[:2])


@needs_broker
def test_records_and_availability_arrive_at_a_topic_each(broker: Any, port: int) -> None:
    with reader(port) as take:
        publishing = outlet(port)
        assert take() == ("home/available", "online", False)
        publishing.tell(state("cam1", "starting"))
        publishing.tell(state("cam1"))
        publishing.send(record(7, people=2))
        assert take() == ("home/cam1/available", "offline", False)
        assert take() == ("home/cam1/available", "online", False)
        topic, payload, retained = take()
        row = json.loads(payload)
        assert (topic, retained, row["schema"], row["index"]) == ("home/cam1/keypoints", False, "keypoints.v1", 7)
        assert len(row["people"]) == 2
        with reader(port) as late:
            assert {late(), late()} == {("home/available", "online", True), ("home/cam1/available", "online", True)}
        publishing.close()
        until(take, ("home/cam1/available", "offline"), ("home/available", "offline"))


@needs_broker
def test_a_killed_publisher_is_offline(broker: Any, port: int) -> None:
    code = (
        "import sys; from stream.sinks.endpoint import Broker; from stream.sinks.mqtt import Mqtt\n"
        f"Mqtt(Broker('', '127.0.0.1', {port}, 'home'), None, 10.0, print); sys.stdin.read()"
    )
    with reader(port) as take:
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, cwd=ROOT) as publishing:
            until(take, ("home/available", "online"))
            publishing.kill()
        until(take, ("home/available", "offline"))


@needs_broker
def test_a_broker_that_was_started_anew_is_told_all_again(tmp_path: Path, port: int) -> None:
    publishing = outlet(port)  # nobody is there yet
    publishing.tell(state("cam1"))
    publishing.send(record(1))
    for _ in range(2):
        with mosquitto(tmp_path, port), reader(port) as take:
            until(take, ("home/available", "online"), ("home/cam1/available", "online"))
            publishing.send(record(2))
            assert json.loads(take()[1])["index"] == 2
        for index in range(100):
            publishing.send(record(index))
    publishing.close()


@needs_broker
def test_a_broker_that_hangs_costs_the_pipeline_nothing(broker: Any, port: int) -> None:
    with reader(port) as take:
        publishing = outlet(port, rate_hz_max=1000.0, clock_s=iter(range(10**6)).__next__)
        until(take, ("home/available", "online"))
        broker.suspend()
        before = psutil.Process().memory_info().rss
        crowd = record(1, people=30)
        started_s = time.monotonic()
        for _ in range(5000):
            publishing.send(crowd)
        assert time.monotonic() - started_s < 5
        assert psutil.Process().memory_info().rss - before < 20 << 20
        started_s = time.monotonic()
        publishing.close()
        assert time.monotonic() - started_s < 5
        broker.resume()


def test_a_broker_that_is_not_there_costs_the_pipeline_nothing(port: int) -> None:
    publishing = outlet(port)
    started_s = time.monotonic()
    for index in range(1000):
        publishing.send(record(index))
    publishing.close()
    assert time.monotonic() - started_s < 4


@needs_broker
def test_no_more_records_are_sent_than_the_rate_allows(broker: Any, port: int) -> None:
    times_s = [index / 25 for index in range(50)]
    with reader(port, "home/+/keypoints") as take:
        publishing = outlet(port, rate_hz_max=10.0, clock_s=iter(times_s).__next__)
        with reader(port) as other:
            until(other, ("home/available", "online"))
        for index in range(50):
            publishing.send(record(index))
        publishing.close()
        indices = [json.loads(take()[1])["index"] for _ in range(20)]
    assert indices[:5] == [0, 3, 5, 8, 10]
    assert len(indices) == 20


@needs_broker
def test_user_and_password_come_from_the_credentials_file(tmp_path: Path, port: int) -> None:
    passwords = tmp_path / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed: apt install mosquitto")
    subprocess.run([tool, "-b", "-c", passwords, "anna", "secret"], check=True)
    credentials = tmp_path / "credentials"
    lines = ("allow_anonymous false", f"password_file {passwords}")
    credentials.write_text("machine 127.0.0.1 login anna password secret\n")
    credentials.chmod(0o600)
    with mosquitto(tmp_path, port, *lines) as running:
        sink = Publish(PublishSettings(addresses=(f"mqtt://127.0.0.1:{port}/home",)), COCO, str(credentials))
        assert any("u'anna'" in line for line in running.stderr)
        sink.close()
        notes: queue.Queue[str] = queue.Queue()
        refused = outlet(port, login=("anna", "wrong"), note=notes.put)
        said = "publish mqtt://127.0.0.1/home: refused: Not authorized; a line of live.credentials names the user"
        assert notes.get(timeout=WAIT_S) == said
        refused.close()


@needs_broker
def test_a_name_with_the_signs_of_topics_makes_one_topic(broker: Any, port: int) -> None:
    with reader(port, "home/+/available") as take:
        publishing = outlet(port)
        with reader(port) as other:
            until(other, ("home/available", "online"))
        publishing.tell(state("a/b+#%"))
        assert take()[0] == "home/a%2Fb%2B%23%25/available"
        publishing.close()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mqtt://host", "no address; it should be mqtt://HOST/TOPIC or mqtt://HOST:PORT/TOPIC"),
        ("mqtt://host/", "no address"),
        ("mqtt://host/a/#", "no address"),
        ("mqtt://host/a+", "no address"),
        ("mqtt:///topic", "no address"),
        ("mqtt://host:0/topic", "no address"),
        ("mqtt://host:70000/topic", "no address"),
        ("mqtt://anna:secret@host/topic", "an address is no place for a password, it is kept in run.json"),
    ],
)
def test_an_address_that_cannot_be_used_gives_one_line(address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^publish mqtt:.*: {said}") as caught:
        broker_of(address)
    assert "secret" not in str(caught.value)


def test_an_address_names_host_port_and_topic() -> None:
    assert broker_of("mqtt://pi.local/house/pose/") == Broker(
        "mqtt://pi.local/house/pose/", "pi.local", 1883, "house/pose"
    )
    assert broker_of("mqtt://[::1]:1884/a") == Broker("mqtt://[::1]:1884/a", "::1", 1884, "a")
