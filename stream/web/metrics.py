"""A run's figures in the words of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from stream.figures import RunFigures
from stream.web.board import AGE_EDGES_S, Board

_STATES = ("waiting", "starting", "ok", "degraded", "reconnecting", "failed", "paused", "ended", "stopped")
_GROUP_STATES = ("loading", "ready", "done", "failed")


def metrics_of(board: Board, looking: int) -> tuple[bytes, str]:
    """The figures as text, and its content type.

    Args:
        board: has the figures.
        looking: how many have a picture or a socket open.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Run(board, looking))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Run(Collector):
    def __init__(self, board: Board, looking: int) -> None:
        self._board, self._looking = board, looking

    def collect(self) -> Iterable[Metric]:
        yield from self._sources()
        yield self._ages()
        yield from _stages(self._board.run)
        yield from _groups(self._board.run)
        yield GaugeMetricFamily(
            "posestream_web_clients", "Pictures and sockets that browsers have open.", self._looking
        )

    def _sources(self) -> Iterator[Metric]:
        frames = _counter("source_frames", "Frames that reached the outputs.", "source")
        people = _counter("source_people", "People in those frames: one in ten frames counts ten.", "source")
        dropped = _counter("source_dropped_frames", "Frames lost, by cause.", "source", "cause")
        reconnects = _counter("source_reconnects", "How often a live source was lost.", "source")
        states = _gauge("source_state", "1 for the state that a source is in, else 0.", "source", "state")
        for now in self._board.sources():
            name, source = now.of.name, now.of
            frames.add_metric([name], source.frames)
            people.add_metric([name], source.people)
            for cause, count in source.dropped.items():
                dropped.add_metric([name, cause], count)
            reconnects.add_metric([name], now.reconnects)
            for state in _STATES:
                states.add_metric([name, state], float(state == source.state))
        yield from (frames, people, dropped, reconnects, states)

    def _ages(self) -> Metric:
        ages = HistogramMetricFamily(
            "posestream_source_age_seconds", "From decoding a frame to the people in it.", labels=["source"]
        )
        edges = [*map(str, AGE_EDGES_S), "+Inf"]
        for name, (counts, sum_s) in self._board.ages().items():
            ages.add_metric([name], list(zip(edges, accumulate(counts), strict=True)), sum_s)
        return ages


def _stages(run: RunFigures) -> Iterator[Metric]:
    frames = _counter("stage_frames", "Frames that a stage has handed on.", "stage")
    busy = _counter("stage_busy_seconds", "Time that a stage has worked.", "stage")
    dropped = _counter("stage_dropped_frames", "Frames that a stage gave up, by cause.", "stage", "cause")
    spent = _gauge(
        "stage_seconds", "Time that a stage takes for a frame, quantiles of the whole run.", "stage", "quantile"
    )
    for name, stage in run.stages.items():
        frames.add_metric([name], stage.frames)
        busy.add_metric([name], stage.busy_s)
        for cause, count in stage.dropped.items():
            dropped.add_metric([name, cause], count)
        for quantile, ms in (("0.5", stage.p50_ms), ("0.95", stage.p95_ms), ("0.99", stage.p99_ms)):
            spent.add_metric([name, quantile], ms / 1e3)
    yield from (frames, busy, dropped, spent)


def _groups(run: RunFigures) -> Iterator[Metric]:
    held = _gauge("queue_frames", "Frames that wait for a group of stages or are in it.", "group")
    memory = _gauge("memory_bytes", "Resident memory of a group's process.", "group")
    states = _gauge(
        "group_state", "1 for the state that a group is in, else 0; ready: its models are loaded.", "group", "state"
    )
    for group, count in run.held.items():
        held.add_metric([group], count)
    for group, size in run.memory_bytes.items():
        memory.add_metric([group], size)
    for group, is_in in run.groups.items():
        for state in _GROUP_STATES:
            states.add_metric([group, state], float(state == is_in))
    yield from (held, memory, states)
    restarts = _counter("restarts", "How often the stages behind live sources were started again.")
    restarts.add_metric([], run.restarts)
    yield restarts


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"posestream_{name}", text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"posestream_{name}", text, labels=labels)
