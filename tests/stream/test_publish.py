"""The publishing sink: what it sends, to whom, and that it holds up nobody."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import structs
from published import publisher, record

from configs.errors import ConfigError, OutputError, RefusedError
from configs.load import load
from configs.schema import PublishSettings
from engines.ops.people import People
from engines.ops.skeleton import COCO
from stream.client import subscribe
from stream.keys import ClientKey, KeyFolder, read_secret
from stream.messages import Begin, Drop, End, Frame, Message, SourceSpec, Status, Tracks
from stream.pipeline import Pipeline
from stream.records import Record, live_record_of, record_of
from stream.sinks.endpoint import check_publish, endpoint_of
from stream.sinks.publish import Publish

WAIT_S = 20.0
TCP = "tcp://127.0.0.1:*"


def tracks(index: int, count: int = 2) -> Tracks:
    rng = np.random.default_rng(index)
    shapes = [(count, 4), (count,), (count, 17, 2), (count, 17), (count, 17)]
    people = People(*(rng.uniform(0, 1, shape).astype(np.float32) for shape in shapes))
    frame = Frame("cam1", 0, index, index * 33_366_667, 10**9, 2, 640, 480, None)
    return Tracks(frame, people, np.arange(1, count + 1), people.keypoints)


def plain(*records: Record) -> list[object]:
    return [msgspec.json.decode(msgspec.json.encode(each)) for each in records]


def begin(live: bool = False) -> Begin:
    return Begin(SourceSpec("cam1", "file", "cam1.mp4"), 640, 480, 30.0, live=live)


def test_what_comes_in_is_passed_on_and_goes_to_every_address(tmp_path: Path) -> None:
    addresses = (f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b?format=json")
    sink = Publish(PublishSettings(addresses=addresses), COCO)
    given: list[Message] = [begin(), *(tracks(index) for index in range(5)), End("cam1", 5)]
    with subscribe(addresses[0], "cam1", timeout_s=WAIT_S) as one, subscribe(addresses[1], timeout_s=WAIT_S) as other:
        assert list(sink.process(given[0])) == given[:1]
        assert list(sink.process(given[1])) == given[1:2]
        first = record_of(tracks(0))
        assert plain(next(one), next(other)) == plain(first, first)
        passed = [each for message in given[2:] for each in sink.process(message)]
        assert passed == given[2:]
        assert plain(*one) == plain(*(record_of(tracks(index)) for index in range(1, 5)))
    sink.close()
    assert sink.notes == [f"keypoints are published at ipc://{tmp_path}/{name}" for name in "ab"]


def test_a_live_source_s_record_says_what_was_lost_before_it(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/keypoints"
    sink = Publish(PublishSettings(addresses=(address,)), COCO)
    lost = Drop(tracks(0).frame, "late", "infer")
    for message in (begin(live=True), lost, tracks(1)):
        list(sink.process(message))
    with subscribe(address, "cam1", timeout_s=WAIT_S) as frames:
        assert plain(next(frames)) == plain(live_record_of(tracks(1), {"late": 1}))
    sink.close()


def test_a_subscriber_learns_how_a_source_is_also_before_its_first_frame(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/keypoints"
    sink = Publish(PublishSettings(addresses=(address,)), COCO)
    list(sink.process(Status("cam1", "reconnecting", "no route to host")))
    with subscribe(address, "cam1", timeout_s=1.0) as frames:
        with pytest.raises(TimeoutError):
            next(frames)
        told = frames.states["cam1"]
        assert (told.status, told.reason, told.record) == ("reconnecting", "no route to host", None)
        assert told.limbs == COCO.limbs
        assert '"keypoints.v1"' in told.record_schema
    sink.close()


def test_a_source_that_could_not_be_opened_has_ended(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/keypoints"
    sink = Publish(PublishSettings(addresses=(address,)), COCO)
    list(sink.process(End("cam1", 0, problem="cam1.mp4: no such file")))
    with subscribe(address, "cam1", timeout_s=WAIT_S) as frames:
        assert list(frames) == []
        assert frames.states["cam1"].reason == "cam1.mp4: no such file"
    sink.close()


def test_a_stage_that_was_restarted_publishes_where_it_did_before(tmp_path: Path) -> None:
    settings = PublishSettings(addresses=(f"ipc://{tmp_path}/keypoints",))
    for _ in range(2):
        sink = Publish(settings, COCO)
        assert list(sink.process(structs.replace(begin(), again=True)))
        sink.close()


def test_the_pipeline_publishes_where_the_settings_say_so() -> None:
    plain, published = load(None), load(None, ["publish.addresses=tcp://127.0.0.1:0"])
    assert not any("publish" in group for group in plain.stage_groups)
    assert published.stage_groups[2] == ("nms", "track", "records", "publish")
    stage = Pipeline().stage("publish", published)
    stage.close()
    with pytest.raises(ConfigError, match=r"runtime\.groups lacks publish, which is wanted"):
        load(
            None,
            ["publish.addresses=ipc:///tmp/x", "runtime.groups=[[decode,infer,nms,track,records,render,video]]"],
        )


@pytest.mark.parametrize(
    ("address", "bind", "beyond"),
    [
        ("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5556", False),
        ("tcp://localhost:5556?format=json", "tcp://127.0.0.1:5556", False),
        ("tcp://[::1]:5556", "tcp://[::1]:5556", False),
        ("tcp://127.9.9.9:0", "tcp://127.9.9.9:*", False),
        ("tcp://0.0.0.0:5556", "tcp://0.0.0.0:5556", True),
        ("tcp://*:5556", "tcp://0.0.0.0:5556", True),
        ("tcp://[::]:5556", "tcp://[::]:5556", True),
        ("tcp://[::ffff:192.168.0.1]:1", "tcp://[::ffff:c0a8:1]:1", True),
        ("tcp://192.168.0.1:5556", "tcp://192.168.0.1:5556", True),
        ("ipc:///run/x", "ipc:///run/x", False),
    ],
)
def test_only_this_machine_s_own_addresses_need_no_keys(tmp_path: Path, address: str, bind: str, beyond: bool) -> None:
    endpoint = endpoint_of(address)
    assert (endpoint.bind, endpoint.beyond) == (bind, beyond)
    settings = PublishSettings(addresses=(address,), keys=str(tmp_path / "keys"))
    if not beyond:
        check_publish(settings)
        return
    with pytest.raises(RefusedError, match=r"nobody has a key to read it; .*: python -m stream\.keys new NAME, or"):
        check_publish(settings)
    with pytest.raises(RefusedError):
        Publish(settings, COCO)
    KeyFolder(settings.keys).new("anna")
    check_publish(settings)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://127.0.0.1", "no address; it should be tcp://HOST:PORT or ipc://PATH"),
        ("tcp://127.0.0.1:70000", "no address; it should be"),
        ("5556", "no address; it should be"),
        ("udp://127.0.0.1:5", "no address; it should be"),
        ("tcp://eth0;lo:5556", "no such host; give an address of this machine"),
        ("tcp://127.0.0.1:5556?format=xml", "'format=xml' is unknown; it should be format=msgpack or format=json"),
        ("tcp://127.0.0.1:5556?", "'' is unknown; it should be format=msgpack"),
        ("ipc://", "no path; it should be a file's"),
        ("ipc://@abstract", "no path; it should be a file's"),
        ("ipc:///" + "x" * 120, "the path is longer than 100 bytes; choose a shorter one"),
    ],
)
def test_an_address_that_cannot_be_used_gives_one_line(address: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^publish .*: {said}") as caught:
        endpoint_of(address)
    assert "\n" not in str(caught.value)


def test_a_port_or_path_in_use_is_left_to_its_owner(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with publisher(TCP) as tcp, publisher(f"ipc://{tmp_path}/s") as ipc:
        for address, said in (
            (tcp.address, "Address already in use; choose an address of this machine that is free"),
            (ipc.address, "another program publishes there; choose another path"),
            (f"ipc://{tmp_path}/file", "a file is there already; choose another path"),
            (f"ipc://{tmp_path}/gone/s", "No such file or directory; choose an address"),
        ):
            with pytest.raises(OutputError, match=rf"^publish {address}: {said}"), publisher(address):
                pass
        assert (tmp_path / "file").read_text() == "mine"
        ipc.send(record(1))
        with subscribe(ipc.address, timeout_s=WAIT_S) as frames:
            assert next(frames).index == 1


def test_a_socket_that_a_killed_run_left_is_taken_over_and_is_the_user_s_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    with publisher(f"ipc://{tmp_path}/s"):
        assert stat.S_IMODE(os.stat(tmp_path / "s").st_mode) == 0o600


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("anna", "bob"):
        KeyFolder(str(tmp_path / "keys")).new(name)
    return tmp_path / "keys"


def test_beyond_this_machine_only_keys_of_the_list_get_anything(tmp_path: Path, keys: Path) -> None:
    strangers = KeyFolder(str(tmp_path / "strangers"))
    stranger = strangers.new("eve")
    # eve knows the publisher's public key, which is no secret
    forged = tmp_path / "forged.key"
    forged.write_text(stranger.read_text().replace(_server(stranger), _server(keys / "anna.key")))
    forged.chmod(0o600)
    KeyFolder(str(keys)).remove("bob")
    with publisher("tcp://0.0.0.0:*", keys) as outlet:
        outlet.send(record(1))
        address = outlet.address.replace("0.0.0.0", "127.0.0.1")
        with subscribe(address, key=str(keys / "anna.key"), timeout_s=WAIT_S) as frames:
            assert next(frames).index == 1
        for wrong in (None, str(stranger), str(forged)):
            with (
                subscribe(address, key=wrong, timeout_s=0.7) as frames,
                pytest.raises(TimeoutError, match="is the key the right one"),
            ):
                next(frames)


def test_a_removed_client_gets_nothing_when_it_connects_anew(keys: Path) -> None:
    with publisher("tcp://0.0.0.0:*", keys) as outlet:
        outlet.send(record(1))
        address = outlet.address.replace("0.0.0.0", "127.0.0.1")
        bob = (keys / "bob.key").read_text()
        KeyFolder(str(keys)).remove("bob")
        kept = keys / "kept.key"
        kept.write_text(bob)
        kept.chmod(0o600)
        with subscribe(address, key=str(kept), timeout_s=0.7) as frames, pytest.raises(TimeoutError):
            next(frames)


def _server(file: Path) -> str:
    return read_secret(str(file), ClientKey).server


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n\x01cam1", id="http"),
        pytest.param(b"\x01\x00\x06\x00\x01cam1" * 50, id="zmtp-1"),
        pytest.param(b"\xff" + bytes(8) + b"\x7f\x01\x02" + b"\x00\x05\x01cam1", id="zmtp-2"),
        pytest.param(b"\xff" * 12, id="huge length"),
        pytest.param(np.random.default_rng(0).bytes(4096), id="random"),
        pytest.param(
            b"\xff"
            + bytes(8)
            + b"\x7f\x03\x00NULL"
            + bytes(16 + 32)
            + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
            b"\x02" + b"\x7f" + b"\xff" * 7,
            id="a topic of huge length",
        ),
    ],
)
def test_noise_at_the_port_gets_nothing_and_disturbs_nobody(noise: bytes) -> None:
    with publisher(TCP) as outlet, subscribe(outlet.address, gaps=True, timeout_s=WAIT_S) as frames:
        outlet.send(record(0))
        assert next(frames) == record(0)
        port = int(outlet.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(noise)
            got = b""
            until_s = time.monotonic() + 1.5
            index = 1
            stranger.settimeout(0.05)
            while time.monotonic() < until_s:
                outlet.send(record(index))
                assert next(frames) == record(index)
                index += 1
                try:
                    data = stranger.recv(65536)
                except TimeoutError:
                    continue
                except ConnectionResetError:
                    break
                if not data:
                    break
                got += data
        assert b"keypoints" not in got
        assert b"cam1" not in got
