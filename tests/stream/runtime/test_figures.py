"""What the supervisor tells of a run to those who show it."""

from __future__ import annotations

import time

import pytest

from stream.figures import StageFigures
from stream.messages import Begin, End, SourceSpec, Status
from stream.runtime.figures import figures_of
from stream.runtime.member import Member
from stream.runtime.progress import Progress
from stream.runtime.reports import Beat, Began, Counts, Done, Ended, Failed, Joined, Ready, Report
from stream.runtime.topology import GroupSpec


class Nowhere:
    """A host of a group that does nothing."""

    def alive(self) -> bool:
        return True

    def exit_reason(self) -> str:
        return ""

    def cpu_s(self) -> float | None:
        return None

    def dump_stacks(self) -> None: ...

    def kill(self) -> None: ...

    def join(self) -> None: ...


def spec(name: str, kind: str = "file") -> SourceSpec:
    return SourceSpec(name, kind, f"rtsp://me:secret@host/{name}")  # type: ignore[arg-type]


def member(name: str, *said: Report) -> Member:
    made = Member(GroupSpec(1, name, (name,), "", 0, "", "cpu"), Nowhere())
    for each in said:
        made.hear(each)
    return made


def begun(progress: Progress, source: SourceSpec, **changes: object) -> None:
    progress.begin(Began(Begin(source, 64, 48, 25.0, frames=100, **changes)))  # type: ignore[arg-type]


def test_each_source_says_how_it_is_and_what_has_passed() -> None:
    progress = Progress(started_s=time.monotonic() - 10)
    specs = [spec("done"), spec("torn"), spec("cut"), spec("open"), spec("cam", "stream"), spec("next")]
    for each in specs[:5]:
        begun(progress, each, live=each.kind == "stream")
    progress.end(Ended(End("done", 90), Counts(80, 160, {"late": 10})))
    progress.end(Ended(End("torn", 3, problem="torn off"), Counts(3)))
    progress.end(Ended(End("cut", 5, stopped=True), Counts(5)))
    progress.statuses["cam"] = Status("cam", "reconnecting", "no new frame for 5 s")
    progress.beats["sinks"] = Beat(
        {"nms": StageFigures(7)}, 1, {"open": Counts(7, 9, {"busy": 2})}, {}, 0, [], 0, 5_000
    )
    told = figures_of(progress, specs, [])
    assert [(each.name, each.state, each.reason, each.frames) for each in told.sources] == [
        ("done", "ended", "", 80),
        ("torn", "failed", "torn off", 3),
        ("cut", "stopped", "", 5),
        ("open", "ok", "", 7),
        ("cam", "reconnecting", "no new frame for 5 s", 0),
        ("next", "waiting", "", 0),
    ]
    open_source = told.sources[3]
    assert (open_source.people, open_source.dropped, open_source.expected) == (9, {"busy": 2}, 100)
    assert [each.live for each in told.sources] == [False] * 4 + [True, False]
    assert not any("secret" in each.label for each in told.sources)
    assert (told.sources_total, told.sources_ended) == (6, 3)
    assert told.stages["nms"].frames == 7
    assert told.memory_bytes == {"sinks": 5_000}
    assert told.seconds == pytest.approx(10, abs=2)


def test_a_group_is_loading_until_it_is_ready() -> None:
    groups = [
        member("new"),
        member("joined", Joined()),
        member("infer", Joined(), Ready([], 0)),
        member("decode", Joined(), Ready([], 0), Done()),
        member("render", Joined(), Ready([], 0), Failed(7, "", "")),
    ]
    told = figures_of(Progress(held={"infer": 2}), [spec("a")], groups)
    assert told.groups == {
        "new": "loading",
        "joined": "loading",
        "infer": "ready",
        "decode": "done",
        "render": "failed",
    }
    assert told.held == {"infer": 2}
    assert told.seconds == 0


def test_of_many_sources_the_open_ones_are_told_then_those_that_ended_last() -> None:
    progress = Progress()
    specs = [spec(str(n)) for n in range(1000)]
    for each in specs[:300]:
        begun(progress, each)
    for each in specs[:299]:
        progress.end(Ended(End(each.name, 1), Counts(1)))
    told = figures_of(progress, specs, [])
    assert [each.name for each in told.sources] == [str(n) for n in range(44, 300)]
    assert (told.sources_total, told.sources_ended) == (1000, 299)


def test_only_who_wants_figures_gets_them() -> None:
    assert not member("nms", Joined(), Ready([], 0)).wants_figures
    assert member("web", Joined(), Ready([], 0, wants_figures=True)).wants_figures
