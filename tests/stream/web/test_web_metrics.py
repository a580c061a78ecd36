"""The figures as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from web_made import run_figures, source_figures, tracks

from stream.figures import StageFigures
from stream.messages import Status
from stream.web.board import Board
from stream.web.metrics import metrics_of


def read(board: Board) -> dict[tuple[str, ...], float]:
    """Name and label values, in the alphabetical order of the labels -> value."""
    text, kind = metrics_of(board, 3)
    assert kind.startswith("text/plain")
    families = text_string_to_metric_families(text.decode())
    return {
        (each.name, *(value for _, value in sorted(each.labels.items()))): each.value
        for family in families
        for each in family.samples
    }


def test_each_figure_of_a_run_is_told() -> None:
    board = Board()
    board.take(
        run_figures(
            source_figures("cam", frames=90, people=120, dropped={"busy": 4, "late": 2}, state="degraded"),
            stages={"infer": StageFigures(91, 4.5, 40.0, 60.0, 80.0, {"late": 2})},
            groups={"infer": "loading"},
            held={"infer": 2},
            memory_bytes={"infer": 5_000_000},
            restarts=1,
        )
    )
    board.status(Status("cam", "reconnecting"))
    for age_ms in (5, 40, 99, 700, 20_000):
        board.track(tracks(0, picture=False, age_ms=age_ms))
    got = read(board)
    assert {
        ("posestream_source_frames_total", "cam"): 90,
        ("posestream_source_people_total", "cam"): 120,
        ("posestream_source_dropped_frames_total", "busy", "cam"): 4,
        ("posestream_source_dropped_frames_total", "late", "cam"): 2,
        ("posestream_source_reconnects_total", "cam"): 1,
        ("posestream_source_state", "cam", "degraded"): 1,
        ("posestream_source_state", "cam", "ok"): 0,
        ("posestream_source_age_seconds_count", "cam"): 5,
        ("posestream_source_age_seconds_bucket", "0.01", "cam"): 1,
        ("posestream_source_age_seconds_bucket", "0.1", "cam"): 3,
        ("posestream_source_age_seconds_bucket", "10.0", "cam"): 4,
        ("posestream_source_age_seconds_bucket", "+Inf", "cam"): 5,
        ("posestream_stage_frames_total", "infer"): 91,
        ("posestream_stage_busy_seconds_total", "infer"): 4.5,
        ("posestream_stage_dropped_frames_total", "late", "infer"): 2,
        ("posestream_stage_seconds", "0.95", "infer"): 0.06,
        ("posestream_queue_frames", "infer"): 2,
        ("posestream_memory_bytes", "infer"): 5e6,
        ("posestream_group_state", "infer", "loading"): 1,
        ("posestream_group_state", "infer", "ready"): 0,
        ("posestream_restarts_total",): 1,
        ("posestream_web_clients",): 3,
    }.items() <= got.items()


def test_a_name_of_any_characters_is_told_as_it_is() -> None:
    name = 'a "b" \\n \\ {c="d"} \n <img src=x> 1\t€'
    board = Board()
    board.take(run_figures(source_figures(name, frames=5)))
    assert read(board)["posestream_source_frames_total", name] == 5


def test_before_anything_is_known_nothing_is_said_of_sources() -> None:
    assert read(Board()) == {("posestream_restarts_total",): 0, ("posestream_web_clients",): 3}
