"""Weights come whole or not at all, from a real server on this machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from weights_server import BODY, HALF, Place, quiet

from configs.errors import EngineError
from engines.weights import download
from engines.weights.download import fetch

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("online")


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_is_fetched_once(place: Place, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    for _ in range(2):
        path = fetch(place.entry(), tmp_path / "deep" / "weights", lambda *said: seen.append(said))
        assert path.read_bytes() == BODY
    assert place.asked == [""]
    assert seen[0] == (0, len(BODY))
    assert seen == sorted(set(seen))
    assert [said for said in seen if said[0] == said[1]] == [(len(BODY), len(BODY))]
    assert parts(path.parent) == ["weights-abc.pth"]


def test_a_download_that_was_cut_goes_on_where_it_ended(place: Place, tmp_path: Path) -> None:
    place.cuts = [HALF, 1000]
    seen: list[int] = []
    path = fetch(place.entry(), tmp_path, lambda done, _: seen.append(done))
    assert path.read_bytes() == BODY
    assert place.asked == ["", f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert seen == sorted(seen)


def test_the_next_run_goes_on_where_the_last_one_ended(place: Place, tmp_path: Path) -> None:
    place.cuts = [HALF, 0]
    wanted = rf"{HALF} of {len(BODY)} bytes; download it by other means to {tmp_path}/weights-abc.pth$"
    with pytest.raises(EngineError, match=wanted):
        fetch(place.entry(), tmp_path, quiet)
    assert parts(tmp_path) == ["weights-abc.pth.part"]
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked[-1] == f"bytes={HALF}-"
    assert parts(tmp_path) == ["weights-abc.pth"]


def test_what_came_before_a_server_fell_silent_is_kept(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_TIMEOUT_S", 1.0)
    place.cuts, place.stalls = [1_000_000], True
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked == ["", "bytes=1000000-"]


@pytest.mark.parametrize(("status", "shift"), [(204, 0), (206, 1), (206, -1)])
def test_an_answer_that_does_not_go_on_harms_nothing(status: int, shift: int, place: Place, tmp_path: Path) -> None:
    place.status, place.shift = status if status == 204 else 200, shift
    part = tmp_path / "weights-abc.pth.part"
    part.write_bytes(BODY[:HALF])
    with pytest.raises(EngineError, match=f": the server says {status} and does not go on at byte {HALF}; download"):
        fetch(place.entry(), tmp_path, quiet)
    assert part.read_bytes() == BODY[:HALF]


@pytest.mark.parametrize("length", ["9" * 5000, "-5", "many"], ids=["endless", "negative", "no number"])
def test_a_length_that_is_none_is_not_believed(length: str, place: Place, tmp_path: Path) -> None:
    place.length = length
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY


def test_a_server_without_ranges_sends_all_of_it_again(place: Place, tmp_path: Path) -> None:
    place.ranges = False
    (tmp_path / "weights-abc.pth.part").write_bytes(BODY[:HALF])
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked == [f"bytes={HALF}-"]


@pytest.mark.parametrize("bad", [b"x" * HALF, b"x" * (len(BODY) + 7)], ids=["shorter", "longer"])
def test_a_bad_beginning_is_thrown_away(bad: bytes, place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights-abc.pth.part").write_bytes(bad)
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert place.asked == [f"bytes={len(bad)}-", ""]


def test_what_was_received_but_not_named_is_not_received_again(place: Place, tmp_path: Path) -> None:
    (tmp_path / "weights-abc.pth.part").write_bytes(BODY)
    assert fetch(place.entry(), tmp_path, quiet).read_bytes() == BODY
    assert parts(tmp_path) == ["weights-abc.pth"]


def test_another_file_is_not_kept(place: Place, tmp_path: Path) -> None:
    place.body = b"another file"
    found, wanted = hashlib.sha256(place.body).hexdigest(), hashlib.sha256(BODY).hexdigest()
    with pytest.raises(EngineError, match=f"the sha256 of what came begins {found}, not {wanted}; download it by"):
        fetch(place.entry(), tmp_path, quiet)
    assert parts(tmp_path) == []


def test_a_file_put_there_by_hand_is_checked_used_and_never_removed(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "weights-abc.pth"
    path.write_bytes(BODY)
    assert fetch(place.entry(), tmp_path, quiet) == path
    path.write_bytes(b"another file")
    with pytest.raises(EngineError, match=rf"weights file {path} is not coco_v1: its sha256 begins .*; remove it"):
        fetch(place.entry(), tmp_path, quiet)
    assert path.read_bytes() == b"another file"
    assert place.asked == []


IN_A_PROCESS = """
import sys
from dataclasses import replace
from pathlib import Path
from engines.weights import download, zoo
entry = replace(zoo.COCO_V1, url=sys.argv[1], digest=sys.argv[2])
print("asks", flush=True)
print(download.fetch(entry, Path(sys.argv[3]), lambda done, total: None))
"""


def test_processes_that_ask_at_once_receive_it_once(place: Place, tmp_path: Path) -> None:
    place.may_go.clear()
    command = [sys.executable, "-c", IN_A_PROCESS, place.url, place.entry().digest, str(tmp_path)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as first,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as second,
    ):
        assert first.stdout
        assert second.stdout
        assert [first.stdout.readline(), second.stdout.readline()] == ["asks\n"] * 2
        assert place.came.wait(20)
        place.may_go.set()
        assert {first.communicate(timeout=20)[0], second.communicate(timeout=20)[0]} == {
            f"{tmp_path}/weights-abc.pth\n"
        }
    assert (tmp_path / "weights-abc.pth").read_bytes() == BODY
    assert place.asked == [""]


def test_threads_that_ask_at_once_receive_it_once(place: Place, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(place.entry(), tmp_path, quiet), range(4)))
    assert paths == [tmp_path / "weights-abc.pth"] * 4
    assert place.asked == [""]


def test_who_waits_for_another_s_download_is_told_how_far_that_is(place: Place, tmp_path: Path) -> None:
    place.may_go.clear()
    told: list[tuple[int, int | None]] = []
    waits = threading.Event()

    def tell(done: int, total: int | None) -> None:
        told.append((done, total))
        waits.set()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch, place.entry(), tmp_path, quiet)
        assert place.came.wait(20)
        second = pool.submit(fetch, place.entry(), tmp_path, tell)
        assert waits.wait(20)
        place.may_go.set()
        assert first.result() == second.result()
    assert told == [(0, None)]
