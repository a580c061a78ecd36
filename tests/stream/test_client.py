"""A subscriber gets typed records, each once, and is told what is missing; with real sockets and processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq
from published import publisher, record, state

from configs.errors import ConfigError, SourceError
from stream.client import Gap, Subscription, subscribe
from stream.records import Record
from stream.sinks.broadcast import Broadcast

ROOT = Path(__file__).parents[2]
TCP = "tcp://127.0.0.1:*"
WAIT_S = 20.0


def joined(outlet: Broadcast, *subscribers: Subscription[Record] | Subscription[Record | Gap]) -> None:
    """Return when the subscribers are connected: each has got record 0."""
    outlet.send(record(0))
    for subscriber in subscribers:
        assert next(subscriber).index == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
@pytest.mark.parametrize("format", ["", "?format=msgpack", "?format=json"])
def test_a_record_arrives_as_it_was_sent(tmp_path: Path, scheme: str, format: str) -> None:
    address = TCP if scheme == "tcp" else f"ipc://{tmp_path}/keypoints"
    with (
        publisher(address + format) as outlet,
        subscribe(outlet.address + format, source="cam1", timeout_s=WAIT_S) as frames,
    ):
        joined(outlet, frames)
        outlet.send(record(1, people=3))
        got = next(frames)
        assert got == record(1, people=3)
        assert tuple(got.people[2].keypoint("left_eye")) == (1.0, 2.5, 0.5)
        assert frames.states["cam1"].keypoints[1] == "left_eye"


def test_a_source_whose_name_begins_like_another_s_is_another(tmp_path: Path) -> None:
    with publisher(TCP, None, "cam1", "cam10") as outlet, subscribe(outlet.address, "cam1", timeout_s=WAIT_S) as one:
        joined(outlet, one)
        for index in (1, 2):
            outlet.send(record(index, "cam10"))
            outlet.send(record(index, "cam1"))
        assert [(next(one).source, index) for index in (1, 2)] == [("cam1", 1), ("cam1", 2)]
        with subscribe(outlet.address, timeout_s=WAIT_S) as both:
            assert {next(both).source, next(both).source} == {"cam1", "cam10"}


def test_whoever_joins_late_gets_the_last_state_within_a_second() -> None:
    with publisher(TCP) as outlet:
        outlet.send(record(7))
        for _ in range(20):
            started_s = time.monotonic()
            with subscribe(outlet.address, "cam1", timeout_s=WAIT_S) as frames:
                assert next(frames).index == 7
                assert frames.states["cam1"].status == "ok"
            assert time.monotonic() - started_s < 1


def test_a_late_joiner_does_not_disturb_the_others() -> None:
    with publisher(TCP) as outlet, subscribe(outlet.address, gaps=True, timeout_s=WAIT_S) as first:
        joined(outlet, first)
        with subscribe(outlet.address, gaps=True, timeout_s=WAIT_S) as second:
            assert next(second) == record(0)
            outlet.send(record(1))
            assert next(first) == next(second) == record(1)


def test_a_subscriber_that_was_stopped_learns_how_much_it_missed_and_nobody_else_notices() -> None:
    sent, me = 5000, psutil.Process()
    code = (
        "import sys; from stream.client import subscribe\n"
        "for each in subscribe(sys.argv[1], 'cam1', gaps=True, timeout_s=30):\n"
        "    print(getattr(each, 'index', None), getattr(each, 'records', None), flush=True)\n"
    )
    with publisher(TCP) as outlet, subscribe(outlet.address, "cam1", gaps=True, timeout_s=WAIT_S) as healthy:
        joined(outlet, healthy)
        stopped = subprocess.Popen(
            [sys.executable, "-c", code, outlet.address], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "0 None\n"
        os.kill(stopped.pid, signal.SIGSTOP)
        before = me.memory_info().rss
        for index in range(1, sent + 1):
            outlet.send(record(index, people=5))
            assert next(healthy).index == index  # type: ignore[union-attr]  # a Gap has none
        assert me.memory_info().rss - before < 20 << 20
        os.kill(stopped.pid, signal.SIGCONT)
        at, missing, gap = 0, 0, 0
        while at < sent:
            line = stopped.stdout.readline()
            assert line, "the subscriber has ended"
            index, records = line.split()
            if index == "None":
                gap = int(records)
                missing += gap
            else:
                assert int(index) == at + gap + 1
                at, gap = int(index), 0
        stopped.kill()
        stopped.communicate()
    assert missing > 0


def test_a_subscriber_connects_again_and_says_that_the_publisher_is_another() -> None:
    with publisher(TCP) as outlet, subscribe(outlet.address, "cam1", gaps=True, timeout_s=WAIT_S) as frames:
        address = outlet.address
        joined(outlet, frames)
        outlet.close = lambda: None  # type: ignore[method-assign]
        Broadcast.close(outlet)
        with publisher(address) as again:
            again.send(record(50))
            assert [next(frames), next(frames)] == [Gap("cam1", None), record(50)]


def test_a_subscriber_may_start_before_the_publisher(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/keypoints"
    with subscribe(address, "cam1", timeout_s=WAIT_S) as frames, publisher(address) as outlet:
        outlet.send(record(3))
        assert next(frames).index == 3


def test_the_loop_ends_with_its_source_and_not_with_a_run_that_was_stopped() -> None:
    with publisher(TCP, None, "cam1", "cam2") as outlet:
        outlet.send(record(1))
        outlet.tell(state(status="ended"))
        assert [frame.index for frame in subscribe(outlet.address, "cam1", timeout_s=WAIT_S)] == [1]
        outlet.tell(state("cam2", "stopped"))
        with (
            subscribe(outlet.address, "cam2", timeout_s=1.2) as frames,
            pytest.raises(
                TimeoutError, match=r"^tcp://127\.0\.0\.1:\d+ sent no record for 1\.2 s; is it published there"
            ),
        ):
            list(frames)
        assert frames.states["cam2"].status == "stopped"


def test_the_same_in_asyncio() -> None:
    async def read(address: str) -> list[int]:
        frames = subscribe(address, "cam1", timeout_s=WAIT_S)
        return [frame.index async for frame in frames]

    async def both(outlet: Broadcast) -> list[int]:
        reading = asyncio.create_task(read(outlet.address))
        for index in range(5):
            outlet.send(record(index))
            await asyncio.sleep(0)
        outlet.tell(state(status="ended"))
        return await reading

    with publisher(TCP) as outlet:
        got = asyncio.run(both(outlet))
    assert got[-1] == 4
    assert got == sorted(set(got))


def test_silence_in_asyncio_is_said_too() -> None:
    async def read(address: str) -> None:
        with subscribe(address, timeout_s=0.3) as frames:
            await anext(frames)

    with publisher(TCP) as outlet, pytest.raises(TimeoutError, match=r"sent no record for 0\.3 s"):
        asyncio.run(read(outlet.address))


@pytest.fixture
def stranger() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.bind("tcp://127.0.0.1:*")
        yield socket


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([b"cam1"], "a message of 1 parts instead of 3"),
        ([b"cam1", b"\x00", b"\x00"], "Expected `object`, got `int`"),
        ([b"cam1", b'{"kind":"record","seq":1,"run":"a"}', b'{"schema":"keypoints.v2"}'], "Invalid enum value"),
        ([b"cam1", b'{"kind":"record","seq":1,"run":"a"}', b"\xff\xfe"], "JSON is malformed"),
        ([b"cam1", b"", b""], "truncated"),
    ],
)
def test_what_another_program_publishes_is_refused(stranger: zmq.Socket[bytes], parts: list[bytes], said: str) -> None:
    address = stranger.getsockopt_string(zmq.LAST_ENDPOINT)
    with subscribe(address, "cam1", timeout_s=WAIT_S) as frames:
        stranger.recv()
        stranger.send_multipart(parts)
        with pytest.raises(SourceError, match=rf"^{address} sent what is no keypoints\.v1: .*{said}"):
            next(frames)


@pytest.mark.parametrize("address", ["127.0.0.1:5556", "tcp://127.0.0.1", "http://127.0.0.1:80", ""])
def test_an_address_that_is_none_gives_one_line(address: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be subscribed to; it should be tcp://HOST:PORT or ipc://PATH$"):
        subscribe(address)


def test_nothing_but_pyzmq_msgspec_and_numpy_is_needed() -> None:
    code = """
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "zmq", "msgspec", "numpy", "stream", "configs"}:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Bare())
from stream.client import subscribe
for frame in subscribe(sys.argv[1], "cam1", timeout_s=20):
    print(frame.index, *frame.people[0].keypoint("nose"))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"pydantic", "torch", "av", "scipy", "engines"}))
"""
    with publisher(TCP) as outlet:
        outlet.send(record(5))
        outlet.tell(state(status="ended"))
        done = subprocess.run(
            [sys.executable, "-c", code, outlet.address], capture_output=True, text=True, cwd=ROOT, check=False
        )
    assert (done.stdout, done.stderr) == ("5 0.0 2.5 0.5\n\n", "")
