"""A row says how each live source is, by what has happened in the last seconds."""

from __future__ import annotations

from stream.live_rows import LiveRows
from stream.messages import End, Status
from stream.runtime.progress import Progress
from stream.runtime.reports import Beat, Counts, Ended


def progress(counts: Counts, state: str = "ok", reason: str = "") -> Progress:
    made = Progress()
    made.statuses["cam"] = Status("cam", state, reason)  # type: ignore[arg-type]
    made.beats["sinks"] = Beat({}, 1, {"cam": counts}, {}, 0, [], 0, 0)
    return made


def texts(rows: LiveRows, progress: Progress, now_s: float) -> list[tuple[str, ...]]:
    return [figures.row() for figures in rows.figures(progress, now_s)]


def test_rates_are_those_of_the_last_two_seconds() -> None:
    rows = LiveRows()
    assert texts(rows, progress(Counts(100, 50, {"busy": 10})), 0.0) == [("cam", "ok", "", "", "", "10", "")]
    texts(rows, progress(Counts(110, 50, {"busy": 10})), 1.0)
    (row,) = texts(rows, progress(Counts(150, 130, {"busy": 20, "late": 10}, 83.4)), 2.0)
    assert row == ("cam", "ok", "35.0", "25.0", "83 ms", "30", "1.6")
    (row,) = texts(rows, progress(Counts(170, 130, {"busy": 20, "late": 10}, 83.4)), 3.0)
    assert row[2:4] == ("40.0", "30.0"), "what was longer ago counts still"


def test_a_source_that_gives_nothing_says_why() -> None:
    rows = LiveRows()
    for at_s in (0.0, 1.0):
        (row,) = texts(rows, progress(Counts(5), "reconnecting", "no new frame for 5 s"), at_s)
    assert row == ("cam", "reconnecting: no new frame for 5 s", "", "", "", "0", "")


def test_a_source_that_has_ended_has_no_row() -> None:
    ended = progress(Counts(5))
    ended.ended["cam"] = Ended(End("cam", 5), Counts(5))
    assert texts(LiveRows(), ended, 0.0) == []
