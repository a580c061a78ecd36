"""--restream: what is sent is played, by servers and readers that are real; a network that hangs holds nothing up."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from msgspec import structs

from configs.errors import ConfigError, RefusedError
from configs.load import load
from configs.outlets import SECRETS, RestreamSettings
from configs.sources import LiveSettings
from stream.messages import End, Frame, SourceSpec
from stream.runtime.metrics import Metered, StageMeter
from stream.sinks.restream import Restream
from stream.sinks.restream_target import check_restream, target_of
from stream.sinks.restream_video import LiveVideo, SendError
from tests.drawn import FPS, begin, end, frame, given, tracks
from tests.media import number_of
from tests.rtsp_client import RECORDER, Server, installed

ROOT = Path(__file__).parents[2]
LIVE = LiveSettings(connect_timeout_s=1.5, retry_s=0.1, retry_max_s=0.2)
Played = list[tuple[float, int, bool]]
"""Of each picture its time, its number and whether it is a key frame."""


def played(container: av.container.InputContainer) -> Iterator[tuple[float, int, bool]]:
    stream = container.streams.video[0]
    assert not stream.codec_context.has_b_frames
    for picture in container.decode(stream):
        assert picture.pts is not None
        yield float(picture.pts * picture.time_base), number_of(picture.to_ndarray(format="rgb24")), picture.key_frame


def read_at(path: Path | str) -> Played:
    with av.open(path) as container:
        return list(played(container))


def check_times(pictures: Played, numbers: range, within_s: float = 2e-3) -> None:
    """Every picture is there, at its own time, and there is a key frame a second."""
    first_s = pictures[0][0]
    assert [number for _, number, _ in pictures] == list(numbers)
    for at_s, number, is_key in pictures:
        assert at_s - first_s == pytest.approx((number - numbers[0]) / FPS, abs=within_s)
        assert is_key == ((number - numbers[0]) % FPS == 0)


def send(address: str, frames: list[Frame], live: LiveSettings = LIVE) -> None:
    video = LiveVideo(target_of(address, "cam1", live), frames[0], FPS)
    for each in frames:
        video.send(each)
    video.finish()


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts RTSP servers that write what is sent to them to `recorded.mkv`."""
    if not installed():
        pytest.skip("needs Debian's gir1.2-gst-rtsp-server-1.0 and python3-gi")
    servers: list[Server] = []

    def start(*options: str) -> Server:
        servers.append(Server(str(tmp_path / "recorded.mkv"), *options, script=RECORDER))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def recorded(path: Path, least: int) -> Played:
    """What the server has written once it is so many pictures: the last ones may still be on their way."""
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        try:
            if len(pictures := read_at(path)) >= least:
                return pictures
        except (av.FFmpegError, FileNotFoundError):  # nothing was written yet
            pass
        threading.Event().wait(0.05)
    raise AssertionError(f"fewer than {least} pictures in {path}")


def test_an_rtsp_server_gets_every_picture_at_its_time(record: Callable[..., Server], tmp_path: Path) -> None:
    server = record("--user", "anna:p@ss")
    with pytest.raises(SendError, match=r"^user or password are refused$") as refused:
        send(f"rtsp://anna:wrong@127.0.0.1:{server.port}/live", [frame(0)])
    assert refused.value.denied
    (credentials := tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password p@ss\n")
    credentials.chmod(0o600)
    live = LIVE.model_copy(update={"credentials": str(credentials)})
    video = LiveVideo(target_of(f"rtsp://127.0.0.1:{server.port}/live", "cam1", live), frame(0), FPS)
    for at in range(60):
        video.send(frame(at))
        threading.Event().wait(1 / FPS)  # the server drops what comes too early by its own clock
    video.finish()
    pictures = recorded(tmp_path / "recorded.mkv", 55)  # the last ones it may not take any more
    check_times(pictures, range(len(pictures)), within_s=0.3)  # it writes down when they came


def test_a_server_that_comes_back_is_sent_to_again_and_nothing_waits(
    record: Callable[..., Server], tmp_path: Path
) -> None:
    server = record()
    stage = Restream(RestreamSettings(address=f"rtsp://127.0.0.1:{server.port}/live"), LIVE)
    given(stage, begin())
    numbers = itertools.count()
    longest_s = 0.0

    def feed(until: Callable[[], bool]) -> None:
        nonlocal longest_s
        end_s = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end_s, stage.notes
            began_s = time.monotonic()
            assert len(given(stage, tracks(next(numbers)))) == 1
            longest_s = max(longest_s, time.monotonic() - began_s)
            threading.Event().wait(0.01)

    feed(lambda: len(stage.notes) == 1)
    server.signal(signal.SIGSTOP)
    count = next(numbers)
    feed(lambda: next(numbers) > count + 100)
    server.kill()
    feed(lambda: len(stage.notes) == 2)
    (tmp_path / "recorded.mkv").unlink()
    server.start(str(tmp_path / "recorded.mkv"))
    feed(lambda: len(stage.notes) >= 3 and stage.notes[-1] == stage.notes[0])
    count = next(numbers)
    feed(lambda: next(numbers) > count + 100)
    assert longest_s < 0.1
    given(stage, end())
    stage.close()
    assert stage.notes[0] == f"the annotated video is sent to rtsp://127.0.0.1:{server.port}/live"
    assert all(f"restream rtsp://127.0.0.1:{server.port}/live: " in note for note in stage.notes[1:-1])
    assert "it is tried again and again" in stage.notes[1]
    sent = [number for _, number, _ in recorded(tmp_path / "recorded.mkv", 20)]
    assert (sent[0] - count % 256) % 256 > 200  # the first ones after the server had come back


def test_what_is_not_sent_is_counted_by_its_cause_and_is_no_lost_frame_of_the_run() -> None:
    address = f"rtsp://127.0.0.1:{free_port()}/live"  # nobody is there
    meter = StageMeter()
    stage = Metered("restream", Restream(RestreamSettings(address=address), LIVE), meter)
    given(stage, begin())
    handed_on = [message for at in range(50) for message in given(stage, tracks(at))]
    (ended,) = given(stage, end(frames=50))
    stage.close()
    assert [message.frame.index for message in handed_on] == list(range(50))
    assert isinstance(ended, End)
    assert ended.lost == {}
    figures = ended.stages["restream"]
    assert figures.frames == 50
    assert list(figures.dropped) == ["restream"]
    assert 48 <= figures.dropped["restream"] <= 50  # one may lie in the mailbox, one may wait to be tried again
    assert meter.figures().dropped == figures.dropped


def test_what_is_sent_by_udp_plays(tmp_path: Path) -> None:
    address = f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    got: Played = []
    listening = threading.Event()

    def read() -> None:
        listening.set()
        with av.open(f"{address}?fifo_size=100000", timeout=(20, 20)) as container:
            for picture in played(container):
                got.append(picture)
                if len(got) == 50:
                    return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert listening.wait(5)
    target = target_of(address, "cam1", LIVE)
    frames = itertools.count()
    video = LiveVideo(target, frame(0), FPS)
    while reader.is_alive():  # a datagram before the reader listens is lost: send until it has enough
        video.send(frame(next(frames)))
        reader.join(0.004)
    video.abandon()
    assert [(late - early) % 256 for (_, early, _), (_, late, _) in itertools.pairwise(got)] == [1] * 49
    assert [round((late - early) * FPS, 2) for (early, *_), (late, *_) in itertools.pairwise(got)] == [1.0] * 49


LISTEN = """
import json, sys
sys.path.insert(0, "tests")
import av
from media import number_of
pictures = []
with av.open(sys.argv[1], options={"listen": "1"}, timeout=(20, 20)) as container:
    try:
        for each in container.decode(video=0):
            number = number_of(each.to_ndarray(format="rgb24"))
            pictures.append((float(each.pts * each.time_base), number, each.key_frame))
    except OSError:  # how FFmpeg's server takes leave
        pass
print(json.dumps(pictures))
"""


def test_an_rtmp_server_gets_every_picture_at_its_time() -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/key"
    server = subprocess.Popen([sys.executable, "-c", LISTEN, address], cwd=ROOT, stdout=subprocess.PIPE)
    frames = [frame(at) for at in range(60)]
    until_s = time.monotonic() + 20
    while True:
        try:
            send(address, frames)
            break
        except SendError as error:  # it does not listen yet
            if time.monotonic() > until_s:
                raise error
    out, _ = server.communicate(timeout=20)
    check_times(json.loads(out), range(60))


def test_hls_can_be_played_while_it_grows_and_keeps_the_last_seconds_only(tmp_path: Path) -> None:
    folder = tmp_path / "a folder, 100%"
    address = str(folder / "{source}" / "index.m3u8")
    (folder / "cam1").mkdir(parents=True)
    (folder / "cam1" / "index.m3u8").write_text("#EXTM3U\nindex-7.ts\n../up.ts\n")  # left by an earlier run
    left, mine = folder / "cam1" / "index-7.ts", [folder / "cam1" / "index-x.ts", folder / "up.ts"]
    for path in (left, *mine):
        path.touch()
    video = LiveVideo(target_of(address, "cam1", LIVE), frame(0), FPS)
    for at in range(20 * FPS):
        video.send(frame(at))
        if at == 10 * FPS + 5:
            assert "ENDLIST" not in (folder / "cam1" / "index.m3u8").read_text()
            listed = [folder / "cam1" / line for line in lines(folder / "cam1" / "index.m3u8")]
            assert [number for each in listed for _, number, _ in read_at(each)] == [
                number % 256 for number in range(4 * FPS, 10 * FPS)
            ]
    video.finish()
    assert "ENDLIST" in (folder / "cam1" / "index.m3u8").read_text()
    pictures = read_at(folder / "cam1" / "index.m3u8")
    assert [number for _, number, _ in pictures] == [number % 256 for number in range(14 * FPS, 20 * FPS)]
    assert pictures[0][2]
    assert len(list((folder / "cam1").glob("index-[0-9]*.ts"))) <= 8
    assert not left.exists()
    assert all(path.exists() for path in mine)


def lines(playlist: Path) -> list[str]:
    return [line for line in playlist.read_text().splitlines() if line and not line.startswith("#")]


def test_a_source_whose_clock_or_size_breaks_goes_on(tmp_path: Path) -> None:
    first = [frame(at) for at in range(10)]
    back = [structs.replace(frame(at, epoch=1), pts_ns=at * 40_000_000) for at in range(10, 20)]
    send(str(tmp_path / "clock.m3u8"), [*first, *back])
    check_times(read_at(tmp_path / "clock.m3u8"), range(20))
    stage = Restream(RestreamSettings(address=str(tmp_path / "size.m3u8")), LIVE)
    given(stage, begin())
    message = tracks(7)
    given(stage, structs.replace(message, frame=frame(8, width=63, height=47)))
    given(stage, end())
    stage.close()
    with av.open(tmp_path / "size.m3u8") as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (62, 46)


def test_a_full_disk_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stage = Restream(RestreamSettings(address=str(tmp_path / "file" / "index.m3u8")), LIVE)
    given(stage, begin())
    given(stage, tracks(0))
    given(stage, end())
    stage.close()
    path = tmp_path / "file" / "index.m3u8"
    assert stage.notes == [f"restream {path}: file exists; it is tried again and again"]
    assert stage.left_out("cam1") == {"restream": 1}


@pytest.mark.parametrize(
    ("address", "line"),
    [
        (
            "out.mp4",
            "restream out.mp4: no address; it should be rtsp://, rtmp://, srt:// or udp://HOST…, or a path that ends "
            "in .m3u8 and holds no %d",
        ),
        (
            "ftp://anna:secret@host/x",
            "restream ftp://***@host/x: ftp is not read; it should be one of http, https, rtmp, rtmps, rtsp, rtsps, "
            "srt, tcp, udp",
        ),
        (
            "http://host/x?token=secret",
            "restream http://host/x?token=***: http is not sent to; it should be one of rtsp, rtsps, rtmp, rtmps, srt, "
            "udp",
        ),
        (
            "rtsp:///live",
            "restream rtsp:///live: not a valid address; it should be scheme://host:port/path, and / ? # @ in a "
            "password %2F %3F %23 %40",
        ),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(address: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        target_of(address, "cam1", LIVE)
    assert str(error.value) == line


def test_what_would_fail_later_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    one, two = SourceSpec("door", "camera", "0"), SourceSpec("yard", "camera", "1")
    check_restream(RestreamSettings(), [one, two], LIVE)
    check_restream(RestreamSettings(address="rtsp://host/live"), [one], LIVE)
    check_restream(RestreamSettings(address="rtsp://host/{source}"), [one, two], LIVE)
    with pytest.raises(ConfigError) as error:
        check_restream(RestreamSettings(address="rtsp://u:secret@host/live"), [one, two], LIVE)
    assert str(error.value) == (
        "restream rtsp://***@host/live: 2 sources need an address each; put {source} where the name goes"
    )
    (tmp_path / "netrc").write_text("machine host login anna password secret\n")
    (tmp_path / "netrc").chmod(0o644)
    open_to_all = LiveSettings(credentials=str(tmp_path / "netrc"))
    with pytest.raises(RefusedError):
        check_restream(RestreamSettings(address="rtsp://host/live"), [one], open_to_all)


def test_srt_is_refused_where_it_is_missing() -> None:
    spec = SourceSpec("door", "camera", "0")
    try:
        av.open("srt://127.0.0.1:1?connect_timeout=1", timeout=0.2)
    except av.ProtocolNotFoundError:
        pass
    except av.FFmpegError:
        pytest.skip("this PyAV has SRT")
    with pytest.raises(ConfigError) as error:
        check_restream(RestreamSettings(address="srt://host:9000?passphrase=secret"), [spec], LIVE)
    assert str(error.value) == (
        "restream srt://host:9000?passphrase=***: FFmpeg as PyAV brings it lacks SRT; send to rtsp://, rtmp:// or "
        "udp://, or build PyAV with an FFmpeg that has it: pip install --no-binary av av"
    )


def test_secrets_of_an_address_reach_the_stage_and_nothing_that_is_written() -> None:
    settings = load(None, ["restream.address=rtmp://u:secret@host/live2/secret-key?token=secret"])
    assert "secret" not in json.dumps(settings.model_dump(mode="json"))
    assert settings.model_dump(mode="json")["restream"]["address"] == "rtmp://***"
    there = type(settings).model_validate_json(settings.model_dump_json(context={SECRETS: True}))
    assert there.restream.address == settings.restream.address
    target = target_of(there.restream.address or "", "door", LIVE)
    assert target.url == settings.restream.address
    assert target.label == "rtmp://***@host/live2/***"
    assert "secret" not in repr(target)
    assert load(None, ["restream.address=hls/index.m3u8"]).model_dump()["restream"]["address"] == "hls/index.m3u8"


def test_a_source_s_name_cannot_lead_elsewhere() -> None:
    assert target_of("rtsp://host/{source}", "a/../b?x", LIVE).url == "rtsp://host/a%2F..%2Fb%3Fx"
    assert target_of("out/{source}.m3u8", "../up", LIVE).playlist == str(Path.cwd() / "out" / "..%2Fup.m3u8")


def test_the_pipeline_restreams_what_it_draws_where_the_settings_say_so() -> None:
    plain, wanted = load(None), load(None, ["restream.address=x.m3u8", "video.save=false"])
    assert plain.stage_groups[3] == ("render", "video")
    assert wanted.stage_groups[3] == ("render", "restream")
    with pytest.raises(ConfigError, match=r"runtime\.groups lacks restream, which is wanted; put it behind render"):
        load(
            None,
            ["restream.address=x.m3u8", "runtime.groups=[[decode,infer,nms,track,records,render,video]]"],
        )
    with pytest.raises(ConfigError, match="groups part render from video, restream or show"):
        load(None, ["runtime.groups=[[decode,infer,nms,track,records,render,video],[restream]]"])
