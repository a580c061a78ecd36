"""The page of a whole run: what it says is what the run says of itself, and it comes back when its stage was killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numbered
import pytest
from numbered import sources
from prometheus_client.parser import text_string_to_metric_families
from web_made import free_port, get, get_json

from configs.load import load
from stream.launch import launch
from stream.messages import SourceSpec
from stream.runtime.progress import Progress
from stream.summary import Summary

GROUP = "nms+track+records+web"


@pytest.fixture(autouse=True)
def _workers_find_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(numbered.__file__).parent))


class Watcher:
    """Looks at the page ten times a second, and ends the run when it has seen enough."""

    def __init__(self, port: int) -> None:
        self.port, self.enough = port, False

    def __call__(self, progress: Progress) -> None:
        if GROUP in progress.beats:  # before, nobody listens
            self.enough = self.enough or self.look(progress)

    def look(self, progress: Progress) -> bool:
        raise AssertionError

    def stops(self) -> int:
        return int(self.enough)

    def run(self, specs: list[SourceSpec], factory: str, **changes: object) -> Summary:
        given = {"web.address": str(self.port), "video.save": False, **changes}
        summary, failure = launch(load(None, (), given), specs, self.stops, self, f"numbered:{factory}")
        assert failure is None
        return summary


class Ended(Watcher):
    """Until the first source has ended, and the page knows it."""

    metrics: dict[str, dict[str, float]]
    figures: Any = None

    def look(self, progress: Progress) -> bool:
        text = get(self.port, "/metrics")[2].decode()
        self.metrics = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                if each.labels.pop("source", "") == "s0":
                    self.metrics.setdefault(each.name, {})["".join(each.labels.values())] = each.value
        self.figures = get_json(self.port, "/api/sources")
        return self.metrics.get("posestream_source_state", {}).get("ended") == 1


@pytest.mark.parametrize("transport", ["ipc", "inproc"])
def test_the_figures_are_those_of_the_summary(tmp_path: Path, transport: str) -> None:
    watcher = Ended(free_port())
    summary = watcher.run(sources(tmp_path, 70, 100_000), "Shown", **{"runtime.transport": transport})
    told, source = watcher.metrics, summary.sources[0]
    assert source.dropped == {"tenth": 7, "seventh": 9}
    assert told["posestream_source_frames_total"][""] == source.frames == 70 - 16
    assert told["posestream_source_people_total"][""] == source.people
    assert told["posestream_source_dropped_frames_total"] == source.dropped
    assert told["posestream_source_age_seconds_count"][""] == source.frames
    first, second = watcher.figures["sources"]
    assert (first["of"]["state"], second["of"]["state"]) == ("ended", "ok")
    assert first["of"]["frames"] == source.frames
    assert watcher.figures["groups"][GROUP] == "ready"
    assert watcher.figures["sources_ended"] == 1


class Killer(Watcher):
    """Until the page has come back after its process was killed."""

    killed = False

    def look(self, progress: Progress) -> bool:
        if get(self.port, "/readyz")[0] != 200:
            return False
        if not self.killed:
            os.kill(progress.pids[GROUP], signal.SIGKILL)
            self.killed = True
        elif progress.restarts:
            return bool(get_json(self.port, "/api/sources")["restarts"] == 1)
        return False

    def __call__(self, progress: Progress) -> None:
        try:
            super().__call__(progress)
        except ConnectionError:
            assert self.killed, "the page has gone by itself"


def test_a_page_whose_process_was_killed_comes_back_at_the_same_place(tmp_path: Path) -> None:
    watcher = Killer(free_port())
    summary = watcher.run(sources(tmp_path, 1_000_000), "ShownLive")
    assert watcher.killed
    assert summary.interrupted


def test_a_run_without_a_page_opens_no_port(tmp_path: Path) -> None:
    settings = load(None, (), {"video.save": False})
    assert ("nms", "track", "records") in settings.stage_groups
    assert ("nms", "track", "records", "web") in load(
        None, (), {"video.save": False, "web.address": "8080"}
    ).stage_groups
