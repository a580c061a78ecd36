"""Every frame arrives once and in order, however the stages are grouped and whatever happens to them."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numbered
import pytest
from msgspec import structs
from numbered import ledger, sources

from configs.runtime import RuntimeSettings
from configs.schema import EngineSettings, InferSettings, Settings
from stream.figures import StageFigures
from stream.messages import SourceSpec
from stream.runtime.progress import Progress
from stream.runtime.recovers import StageError
from stream.runtime.reports import Counts
from stream.runtime.supervisor import Supervisor

ONE = (("decode", "infer", "nms", "track", "records", "render", "video"),)
FOUR = RuntimeSettings().groups
FUSED = (("decode", "infer"), ("nms", "track", "records", "render", "video"))
THREE = (("decode",), ("infer",), ("nms", "track", "records", "render", "video"))
GROUPINGS = [
    pytest.param({"transport": "inproc", "groups": ONE}, id="one-thread"),
    pytest.param({"transport": "inproc"}, id="threads"),
    pytest.param({"transport": "ipc", "groups": ONE}, id="one-process"),
    pytest.param({"transport": "ipc", "groups": FUSED}, id="two-processes"),
    pytest.param({"transport": "ipc"}, id="four-processes"),
]


@pytest.fixture(autouse=True)
def _workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))


def run(
    specs: list[SourceSpec],
    factory: str = "Numbered",
    stops: Callable[[], int] = lambda: 0,
    watch: Callable[[Progress], None] = lambda _: None,
    device: str = "cpu",
    workers: int | None = 1,
    **runtime: object,
) -> Progress:
    settings = Settings(
        engine=EngineSettings(device=device),
        infer=InferSettings(workers=workers),
        runtime=RuntimeSettings.model_validate(runtime),
    )
    return Supervisor(settings, specs, f"numbered:{factory}").run(stops, watch)


def whole(count: int) -> list[tuple[int, ...]]:
    return [(n, n, n) for n in range(count)]


@pytest.mark.parametrize("runtime", GROUPINGS)
def test_every_frame_arrives_once_and_in_order(tmp_path: Path, runtime: dict[str, object]) -> None:
    specs = sources(tmp_path, 500, 0, 70)
    progress = run(specs, **runtime)
    assert [ledger(spec) for spec in specs] == [whole(500), [], whole(70)]
    assert {name: ended.counts.frames for name, ended in progress.ended.items()} == {"s0": 500, "s1": 0, "s2": 70}


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_slow_stage_holds_the_source_back_and_loses_nothing(tmp_path: Path, transport: str) -> None:
    specs = sources(tmp_path, 60)
    ahead = []

    def watch(progress: Progress) -> None:
        done = {name: figures.frames for beat in progress.beats.values() for name, figures in beat.stages.items()}
        ahead.append(done.get("decode", 0) - done.get("track", 0))

    run(specs, "Slow", watch=watch, transport=transport, slots=3)
    assert ledger(specs[0]) == whole(60)
    # beats of two groups are half a second apart at most: 25 frames of 20 ms, and 3 slots
    assert max(ahead) <= 3 + 25 + 1


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_several_decoders_share_one_network(tmp_path: Path, transport: str) -> None:
    specs = sources(tmp_path, 120, 80, 40, 30)
    run(specs, transport=transport, decoders=3, slots=2)
    assert [ledger(spec) for spec in specs] == [whole(120), whole(80), whole(40), whole(30)]


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
@pytest.mark.parametrize(
    "groups", [FOUR, (*FOUR[:2], ("nms", "track", "records", "render", "video"))], ids=["four", "three"]
)
def test_several_devices_share_the_frames(tmp_path: Path, transport: str, groups: tuple[tuple[str, ...], ...]) -> None:
    specs = sources(tmp_path, 120, 80, 40, 30)
    progress = run(specs, device="cpu,cuda:7", transport=transport, groups=groups, slots=2)
    assert [ledger(spec) for spec in specs] == [whole(120), whole(80), whole(40), whole(30)]
    assert sorted(progress.notes) == ["reads on cpu", "reads on cuda:7"]
    busy = [name for name, beat in progress.beats.items() if name.startswith("infer") and beat.sent_bytes > 0]
    assert sorted(busy) == ["infer-1", "infer-2"]
    assert progress.stages()["infer"].frames == 270


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
@pytest.mark.parametrize("factory", ["Uneven", "Pairs"])
def test_a_pool_shares_the_frames_of_one_source_and_they_arrive_in_order(
    tmp_path: Path, transport: str, factory: str
) -> None:
    specs = sources(tmp_path, 121, 0, 40)
    progress = run(specs, factory, device="cpu,cuda:7", workers=2, transport=transport)
    assert [ledger(spec) for spec in specs] == [whole(121), [], whole(40)]
    shares = {name: beat.stages["infer"].frames for name, beat in progress.beats.items() if name.startswith("infer")}
    assert sorted(shares) == [f"infer-{n}" for n in (1, 2, 3, 4)]
    assert min(shares.values()) > 10
    assert progress.ended["s0"].end.stages["infer"].frames == 121
    assert sorted(progress.notes) == ["reads on cpu", "reads on cuda:7"]


def test_a_pool_continues_from_a_cut_as_one_network_does(tmp_path: Path) -> None:
    (spec,) = sources(tmp_path, 100)
    cut = run([spec], "Summing", workers=3, cut_every=20).cuts["s0"]
    run([structs.replace(spec, states=cut.states, uri="130")], "Summing", workers=3, cut_every=20)
    assert ledger(spec) == [(n, n * (n + 1) // 2, n) for n in range(100, 130)]


def test_a_stopped_pool_keeps_what_was_done(tmp_path: Path) -> None:
    specs, done = sources(tmp_path, 100_000), []
    run(
        specs,
        "Uneven",
        stops=lambda: int(bool(done)),
        watch=lambda progress: done.extend([1] * (progress.stages().get("track", StageFigures()).frames > 20)),
        workers=3,
    )
    rows = ledger(specs[0])
    assert len(rows) > 20
    assert rows == sorted(rows)
    assert [row[0] for row in rows] == [row[1] for row in rows]


@pytest.mark.parametrize("group", ["decode", "infer", "nms+track+records", "render+video"])
def test_a_stage_that_was_frozen_goes_on(tmp_path: Path, group: str) -> None:
    specs = sources(tmp_path, 80)
    frozen_s: list[float] = []

    def watch(progress: Progress) -> None:
        if not progress.started_s or len(frozen_s) == 2:
            return
        if not frozen_s:
            os.kill(progress.pids[group], signal.SIGSTOP)
            frozen_s.append(time.monotonic())
        elif time.monotonic() - frozen_s[0] > 1.0:
            os.kill(progress.pids[group], signal.SIGCONT)
            frozen_s.append(time.monotonic())

    run(specs, "Slow", watch=watch, transport="ipc")
    assert len(frozen_s) == 2
    assert ledger(specs[0]) == whole(80)


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_stopped_run_keeps_what_was_done(tmp_path: Path, transport: str) -> None:
    specs = sources(tmp_path, 100_000)
    started_s: list[float] = []

    def stops() -> int:
        return int(bool(started_s) and time.monotonic() - started_s[0] > 0.5)

    def watch(progress: Progress) -> None:
        if progress.started_s and not started_s:
            started_s.append(progress.started_s)

    progress = run(specs, "Slow", stops, watch, transport=transport)
    assert progress.finished_s is not None
    assert progress.finished_s - started_s[0] < 0.5 + 5
    rows = ledger(specs[0])
    assert rows == whole(len(rows))
    assert 0 < len(rows) < 100
    assert progress.ended["s0"].end.stopped


def test_frames_that_wait_for_a_slow_network_do_not_hold_a_stopped_run_up(tmp_path: Path) -> None:
    specs = sources(tmp_path, 100)
    full: list[bool] = []

    def watch(progress: Progress) -> None:
        if not full and progress.stages().get("decode", StageFigures()).frames > 8:
            full.append(True)

    progress = run(specs, "Sluggish", lambda: len(full), watch, slots=8)
    assert progress.ended["s0"].end.stopped, "the run was cut off instead of coming to its end"


@pytest.mark.parametrize("workers", [1, 3])
def test_no_cut_passes_frames_that_a_stopped_run_leaves_out(tmp_path: Path, workers: int) -> None:
    specs, asked = sources(tmp_path, 10_000), []

    def watch(progress: Progress) -> None:
        if progress.stages().get("track", StageFigures()).frames > 20:
            asked.append(1)

    progress = run(specs, "Slow", lambda: len(asked[:1]), watch, workers=workers, slots=12, cut_every=2)
    rows = ledger(specs[0])
    assert progress.cuts["s0"].index >= 2
    assert [row[0] for row in rows][: progress.cuts["s0"].index] == list(range(progress.cuts["s0"].index))


def test_a_stage_that_will_not_end_is_killed_in_time(tmp_path: Path) -> None:
    specs = sources(tmp_path, 10)
    asked_s: list[float] = []

    def stops() -> int:
        return len(asked_s)

    def watch(progress: Progress) -> None:
        if progress.started_s and not asked_s:
            asked_s.append(time.monotonic())

    run(specs, "Stuck", stops, watch, transport="ipc")
    assert time.monotonic() - asked_s[0] < 5
    assert ledger(specs[0]) == []


@pytest.mark.parametrize(
    ("factory", "code", "text"),
    [
        ("Breaking", 7, "RuntimeError: the network broke"),
        ("Dying", 7, "stage infer left with exit code 9"),
        ("Unmade", 6, "the weights are torn"),
    ],
)
def test_a_stage_that_fails_ends_the_run_and_says_why(tmp_path: Path, factory: str, code: int, text: str) -> None:
    specs = sources(tmp_path, 1000)
    with pytest.raises(StageError, match=f"^{text}") as caught:
        run(specs, factory, transport="ipc")
    assert (caught.value.group, caught.value.exit_code) == ("infer", code)
    if factory != "Unmade":
        rows = ledger(specs[0])
        assert rows == whole(len(rows))
        # Who leaves without a word may take along what was just handed to ZeroMQ.
        assert len(rows) == 30 if factory == "Breaking" else len(rows) <= 30


def test_a_failure_in_a_thread_ends_the_run_too(tmp_path: Path) -> None:
    specs = sources(tmp_path, 1000)
    with pytest.raises(StageError, match="the network broke"):
        run(specs, "Breaking", transport="inproc")
    assert ledger(specs[0]) == whole(30)


def test_a_stage_that_hangs_is_found_and_killed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^stage infer gave no sign of life for 1\.5 s$"):
        run(sources(tmp_path, 10), "Stuck", transport="ipc", hang_after_s=1.5)


@pytest.mark.parametrize("runtime", GROUPINGS)
def test_a_frame_that_a_stage_drops_gives_its_slot_back_and_is_counted(
    tmp_path: Path, runtime: dict[str, object]
) -> None:
    specs = sources(tmp_path, 300, 90)
    progress = run(specs, "Dropping", slots=4, hang_after_s=5, **runtime)
    for spec, count in zip(specs, (300, 90), strict=True):
        kept = [n for n in range(count) if n % 10 and n % 7]
        tenth, seventh = count // 10, sum(n % 10 > 0 and n % 7 == 0 for n in range(count))
        assert ledger(spec) == [(n, n, n) for n in kept]
        assert progress.counts(spec.name) == Counts(len(kept), len(kept), {"tenth": tenth, "seventh": seventh})
        figures = progress.ended[spec.name].end.stages
        assert (figures["nms"].dropped, figures["track"].dropped) == ({"tenth": tenth}, {"seventh": seventh})
        assert (figures["nms"].frames, figures["track"].frames) == (count - tenth, len(kept))
    assert progress.stages()["nms"].dropped == {"tenth": 39}


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_a_stage_that_keeps_frames_for_itself_is_found_though_it_beats(tmp_path: Path, transport: str) -> None:
    with pytest.raises(
        StageError, match=r"^stage nms\+track\+records holds 4 frames and has handed none on for 1\.5 s"
    ):
        run(sources(tmp_path, 100), "Losing", transport=transport, slots=4, hang_after_s=1.5)


def test_a_stage_that_hangs_while_it_loads_is_found_and_killed(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^stage infer did not get ready and has done nothing for 2 s"):
        run(sources(tmp_path, 10), "Asleep", transport="ipc", hang_after_s=2)


@pytest.mark.parametrize(("number", "told"), [(signal.SIGKILL, "most likely the memory"), (signal.SIGTERM, None)])
def test_the_slots_of_a_killed_stage_are_back_and_it_is_told(
    tmp_path: Path, number: signal.Signals, told: str | None
) -> None:
    """SIGTERM reaches the whole terminal: stages leave that to the supervisor."""
    specs, killed, held = sources(tmp_path, 60), [], []

    def watch(progress: Progress) -> None:
        if not killed and progress.held.get("infer"):
            os.kill(progress.pids["infer"], number)
            killed.append(progress.held["infer"])
        elif killed:
            held.append(progress.held["infer"])

    if told is None:
        run(specs, "Slow", watch=watch, transport="ipc")
        assert ledger(specs[0]) == whole(60)
        return
    with pytest.raises(StageError, match=rf"^stage infer was killed by SIGKILL: {told}"):
        run(specs, "Slow", watch=watch, transport="ipc")
    assert killed[0] > 0
    assert held[-1] == 0


@pytest.mark.parametrize("runtime", GROUPINGS)
def test_a_run_continued_from_a_cut_gives_what_the_whole_run_gives(tmp_path: Path, runtime: dict[str, object]) -> None:
    (full,) = sources(tmp_path / "full", 50)
    cuts = run([full], "Summing", cut_every=20, **runtime).cuts
    assert cuts["s0"].index == 40
    assert cuts["s0"].states == {"decode": b"40", "nms": b"%d" % sum(range(40))}
    (rest,) = sources(tmp_path / "rest", 50)
    run([structs.replace(rest, states=cuts["s0"].states)], "Summing", cut_every=20, **runtime)
    assert [row[0] for row in ledger(full)] == list(range(50))
    assert ledger(rest) == ledger(full)[40:]


def test_figures_of_a_source_are_its_own(tmp_path: Path) -> None:
    specs = sources(tmp_path, 40, 9)
    progress = run(specs, transport="inproc")
    frames = {
        name: {stage: at.frames for stage, at in ended.end.stages.items()} for name, ended in progress.ended.items()
    }
    names = ["decode", "infer", "nms", "track", "records", "render", "video"]
    assert frames == {"s0": dict.fromkeys(names, 40), "s1": dict.fromkeys(names, 9)}
    assert progress.stages()["infer"].frames == 49


def test_what_a_stage_prints_does_not_reach_standard_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(sources(tmp_path, 3), "Printing", transport="ipc")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "infer says something" in printed.err


def test_a_long_folder_for_temporary_files_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    specs = sources(tmp_path, 10)
    run(specs, transport="ipc")
    assert ledger(specs[0]) == whole(10)


@pytest.mark.parametrize("group", ["infer", "nms+track+records", "render+video"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_in_a_live_run_the_stages_behind_the_sources_are_restarted(
    tmp_path: Path, group: str, number: signal.Signals
) -> None:
    specs, hurt = sources(tmp_path, 400, 1), []

    def watch(progress: Progress) -> None:
        if not hurt and progress.counts("s0").frames > 50:
            os.kill(progress.pids[group], number)
            hurt.append(progress.pids[group])

    progress = run(specs[:1], "Live", watch=watch, transport="ipc", slots=4, cut_every=10, hang_after_s=1.5)
    assert progress.restarts == 1
    assert "the stages behind the sources are started again (1 of 5 restarts in 60 s)" in progress.notes[-1]
    rows = ledger(specs[0])
    indices = [row[0] for row in rows]
    assert indices == sorted(set(indices)), "a frame came twice or in the wrong order"
    assert indices[-1] == 399
    lost = sorted(set(range(400)) - set(indices))
    assert len(lost) <= 2 * 4 + 1, "more was lost than was under way and was sent before the source heard of it"
    # The sum goes on from the last cut before the gap, which may by chance be the very frame before it.
    breaks = [at for at in range(1, len(rows)) if rows[at][1] - rows[at - 1][1] != rows[at][2]]
    gaps = [at for at in range(1, len(rows)) if rows[at][0] != rows[at - 1][0] + 1]
    start = min(breaks + gaps, default=1)
    cut = rows[start][1] - rows[start][2]
    assert cut in {sum(range(0, each)) for each in range(0, 400, 10)}
    assert all(rows[at][1] - rows[at - 1][1] == rows[at][2] for at in range(start + 1, len(rows)))
    assert progress.ended["s0"].end.frames == 400


def test_a_live_run_whose_stages_keep_dying_ends(tmp_path: Path) -> None:
    specs, killed = sources(tmp_path, 100_000), []

    def watch(progress: Progress) -> None:
        if progress.counts("s0").frames > 0 and progress.pids["infer"] not in killed and "infer" in progress.beats:
            os.kill(progress.pids["infer"], signal.SIGKILL)
            killed.append(progress.pids["infer"])

    with pytest.raises(StageError, match=r"^stage infer was killed by SIGKILL"):
        run(specs, "Live", watch=watch, transport="ipc")
    assert len(killed) == 6


@pytest.mark.parametrize("transport", ["inproc", "ipc"])
def test_what_a_stage_has_to_say_is_told_once_whenever_it_comes(tmp_path: Path, transport: str) -> None:
    assert run(sources(tmp_path, 20), "Noting", transport=transport).notes.count("five") == 1
    (tmp_path / "again").mkdir()
    assert sorted(run(sources(tmp_path / "again", 3), "Noting", transport=transport).notes) == ["made", "reads on cpu"]
