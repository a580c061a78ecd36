"""Settings from files and the command line, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.load import ConfigError, load, presets
from configs.schema import Settings


def test_later_origins_win(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("track: {score_high: 0.6, score_low: 0.1}\nrender: {trail_s: 1}\n")
    settings = load(str(file), ["track.score_high=0.7", "render.trail_s=2"], {"render.trail_s": 3.0})
    assert (settings.track.score_low, settings.track.score_high, settings.render.trail_s) == (0.1, 0.7, 3.0)


def test_an_option_not_given_changes_nothing() -> None:
    assert load(None, ["track.score_high=0.7"], {"track.score_high": None}).track.score_high == 0.7


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("track:\n  lost_after_s: -1\n  match_mim: 0.2\nrendr: {hud: true}\n")
    with pytest.raises(ConfigError) as caught:
        load(str(file), ["infer.batch_max=many"])
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            f"{file}: track.lost_after_s is -1; it should be greater than or equal to 0",
            f"{file}: track.match_mim is unknown; did you mean match_min?",
            "--set: infer.batch_max is 'many'; it should be a valid integer, unable to parse string as an integer",
            f"{file}: rendr is unknown; did you mean render?",
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "holds a list; expected parts with keys"),
        ("track: [", "line 1: not YAML"),
        ("track: 7\n", "track is 7"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(str(file))


def test_a_missing_file_names_the_presets() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; .*one_process"):
        load("nowhere.yaml")


@pytest.mark.parametrize("text", ["track", "track.score_high", "score_high=1", "track.score_high.x=1"])
def test_a_malformed_assignment_says_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected part\.key=value"):
        load(None, [text])


def test_scores_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"track: score_low is 0\.9; it must not pass score_high, 0\.6"):
        load(None, ["track.score_low=0.9"])


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("[[decode], [infer], [nms, track, render, sinks, sinks]]", "each once"),
        ("[[decode], [infer, nms, track, render], [sinks]]", "part render from sinks"),
    ],
)
def test_groups_must_be_the_pipeline(groups: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(None, [f"runtime.groups={groups}"])


def test_several_devices_need_groups_of_their_own() -> None:
    one_group = "runtime.groups=[[decode, infer, nms, track, render, sinks]]"
    with pytest.raises(ConfigError, match=r"^settings: several devices \(cpu,cpu\) need decode and infer in groups"):
        load(None, ["engine.device=cpu,cpu", one_group])
    assert load(None, ["engine.device=cuda:0,cuda:1"]).engine.device == "cuda:0,cuda:1"


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_changes_something(name: str) -> None:
    assert load(name) != Settings()
