"""Settings from files and the command line, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load, presets
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
        ("track: 7\n", r"^\S+my\.yaml: track is 7; it should be a mapping, as in  track: {key: value}$"),
        ("track: {lost_after_s: 2020-13-45}\n", r"^\S+my\.yaml: cannot be read: month must be in 1\.\.12$"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load(str(file))


@pytest.mark.parametrize("text", ["engine: 5\n", "engine: [5]\n"])
def test_a_part_that_is_no_mapping_is_said_whatever_else_is_set(tmp_path: Path, text: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(file), ["engine.mode=fast"], {"engine.backend": "eager", "track.score_low": 7})
    engine, track = str(caught.value).splitlines()
    value = text.removeprefix("engine: ").strip()
    assert engine == f"{file}: engine is {value}; it should be a mapping, as in  engine: {{key: value}}"
    assert track == "command line: track.score_low is 7; it should be less than or equal to 1"


def test_a_name_too_long_for_the_system_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^a{300}: cannot be read: File name too long$"):
        load("a" * 300)


def test_a_missing_file_names_the_presets() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; .*one_process"):
        load("nowhere.yaml")


@pytest.mark.parametrize("text", ["track", "track.score_high", "score_high=1", "track.score_high.x=1"])
def test_a_malformed_assignment_says_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected part\.key=value"):
        load(None, [text])


def test_an_assignment_that_is_no_yaml_is_said() -> None:
    with pytest.raises(ConfigError, match=r"^--set engine\.weights=2020-13-45: '2020-13-45' is not a YAML value$"):
        load(None, ["engine.weights=2020-13-45"])


@pytest.mark.parametrize(
    "device",
    [
        "cuda:01",
        "cuda:256",
        "cuda:99999999999999999999",
        "cuda:",
        "cuda:-1",
        "cuda:\u0661",
        "cuda:1\n",
        "gpu",
        "auto,cpu",
        "",
    ],
)
def test_a_device_that_cannot_be_is_refused(device: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, (), {"engine.device": device})
    assert str(caught.value) == (
        f"command line: engine.device: {device!r} is no device; "
        "it should be auto, cpu, cuda, cuda:0 to cuda:99, or several as cuda:0,cuda:1"
    )


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:99", "cuda:0,cuda:10", "cpu,cpu"])
def test_a_device_that_can_be_is_taken(device: str) -> None:
    assert load(None, (), {"engine.device": device}).engine.device == device


def test_scores_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"track: score_low is 0\.9; it must not pass score_high, 0\.6"):
        load(None, ["track.score_low=0.9"])


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ("[[decode], [infer], [nms, track, records, render, video, video]]", "each once"),
        ("[[decode], [infer, nms, track, render], [video, records]]", "part render from video"),
        ("[[decode], [infer, nms, track], [video, render, records]]", "render before video"),
    ],
)
def test_groups_must_be_the_pipeline(groups: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(None, [f"runtime.groups={groups}"])


def test_several_devices_need_groups_of_their_own() -> None:
    one_group = "runtime.groups=[[decode, infer, nms, track, records, render, video]]"
    with pytest.raises(ConfigError, match=r"^settings: several devices \(cpu,cpu\) need decode and infer in groups"):
        load(None, ["engine.device=cpu,cpu", one_group])
    assert load(None, ["engine.device=cuda:0,cuda:1"]).engine.device == "cuda:0,cuda:1"


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_changes_something(name: str) -> None:
    assert load(name) != Settings()
