"""--show on a real display, and where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from msgspec import structs

from configs.errors import ConfigError
from configs.load import load
from stream.sinks.window import Show, check_window
from stream.stage import Chain
from tests.display import MISSING, display, xdotool
from tests.drawn import begin, end, given, tracks
from tests.media import number_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if MISSING:
        pytest.skip(f"needs Debian's xvfb and xdotool: {', '.join(MISSING)} missing")
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        yield name


def until(what: Callable[[], bool], why: object = "") -> None:
    end_s = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end_s, why
        threading.Event().wait(0.05)


def press(screen: str, *keys: str) -> None:
    (window,) = xdotool(screen, "search", "--onlyvisible", "--name", "posestream")
    for key in keys:
        xdotool(screen, "key", "--window", window, key)


def shown(screen: str) -> bool:
    return len(xdotool(screen, "search", "--onlyvisible", "--name", "posestream")) == 1


def test_the_window_shows_saves_and_ends_the_run(screen: str, tmp_path: Path) -> None:
    stage = Show()
    chain = Chain([stage])
    opened = begin()
    given(stage, structs.replace(opened, spec=structs.replace(opened.spec, folder=str(tmp_path))))
    given(stage, tracks(42))
    until(lambda: shown(screen))
    press(screen, "h")  # it is no part of the picture that is saved
    path = tmp_path / "frame-0-000042.png"

    def saved() -> bool:
        press(screen, "s")  # again, until the frame has come
        return path.exists()

    until(saved)
    with av.open(path) as container:
        assert number_of(next(container.decode(video=0)).to_ndarray(format="rgb24")) == 42
    until(lambda: f"saved {path}" in stage.notes, stage.notes)
    assert not chain.ends_run
    press(screen, "q")
    until(lambda: chain.ends_run)
    until(lambda: not shown(screen))
    assert [type(message).__name__ for message in given(stage, tracks(43))] == ["Tracks"]  # what is under way goes on
    given(stage, end())
    stage.close()
    assert not any("lost" in note for note in stage.notes)


def test_a_display_that_goes_away_takes_the_window_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if MISSING:
        pytest.skip(f"needs Debian's xvfb and xdotool: {', '.join(MISSING)} missing")
    with display() as name:
        monkeypatch.setenv("DISPLAY", name)
        stage = Show()
        given(stage, begin())
        given(stage, tracks(0))
        until(lambda: shown(name))
    until(lambda: bool([given(stage, tracks(1)), *stage.notes][1:]))
    assert stage.notes == ["the window is lost, as if the display were gone; the run goes on"]
    assert not stage.ends_run
    stage.close()


def test_where_there_is_no_display_the_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":65000")  # nobody is there
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError) as error:
        check_window()
    assert str(error.value) == ("--show: the display cannot be used; --web 127.0.0.1:8080 shows the same in a browser")


def test_a_display_that_is_there_is_good_enough(screen: str) -> None:
    check_window()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display without a variable that names it")
def test_no_display_ends_the_command_at_once(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    done = subprocess.run(
        [sys.executable, ROOT / "run_pipeline.py", "--show"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == "posestream: --show: there is no display; --web 127.0.0.1:8080 shows the same in a browser\n"
    assert not (tmp_path / "runs").exists()


def test_the_window_shares_the_drawn_pixels() -> None:
    assert load(None, ["window.show=true", "video.save=false"]).stage_groups[3] == ("render", "show")
    assert load(None, ["video.save=false"]).stage_groups == [("decode",), ("infer",), ("nms", "track", "records")]
