"""Settings from files and the command line, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load, presets, resolve
from configs.options import TYPED
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
    assert track == "track.score_low is 7; it should be less than or equal to 1"


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
        load(None, (), {"engine.device": device}, TYPED)
    assert str(caught.value) == (
        f"--device: {device!r} is no device; "
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
        ("[[decode], [infer, nms, web, track], [records, render, video]]", "each once"),
        ("[[decode], [infer, nms, track], [records, render, video, web]]", "web behind render"),
        ("[[decode], [infer, nms, track], [render, video, records]]", "records behind render"),
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


def test_a_low_score_that_is_implied_gives_way_and_one_that_is_set_does_not() -> None:
    assert load(None, ["track.score_high=0.2"]).track.score_low == 0.2
    assert load(None, ["track.score_high=0.4"]).track.score_low == 0.3
    assert load(None, ["track.score_low=0.5"], {"track.score_high": 0.7}).track.score_low == 0.5
    with pytest.raises(
        ConfigError, match=r"^--set, --conf: track: score_low is 0\.5; it must not pass score_high, 0\.4$"
    ):
        load(None, ["track.score_low=0.5"], {"track.score_high": 0.4}, TYPED)


def test_what_a_mistake_implies_is_no_mistake_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"^--conf is 7\.0; it should be less than or equal to 1$"):
        load(None, (), {"track.score_high": 7.0}, TYPED)


@pytest.mark.parametrize(("score_min", "resolved"), [(None, 0.3), (0.1, 0.3), (0.5, 0.5)])
def test_the_network_looks_at_nobody_below_the_tracker_s_low_score(score_min: float | None, resolved: float) -> None:
    assert resolve(load(None, (), {"engine.score_min": score_min})).engine.score_min == resolved


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("90", 90.0), ("10m", 600.0), ("1.5h", 5400.0), ("1:30", 90.0), ("0:01:30.5", 90.5), (90, 90.0), (None, None)],
)
def test_a_time_is_seconds_or_a_clock_s_text(given: object, seconds: float | None) -> None:
    assert load(None, (), {"decode.end_s": given}).decode.end_s == seconds


@pytest.mark.parametrize("given", ["1:x", "", "1:2:3:4", "-1", "1:-5"])
def test_a_text_that_is_no_time_is_refused(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, (), {"decode.start_s": given}, TYPED)
    said = "it should be seconds or hh:mm:ss, as 90 or 0:01:30, or 10m, 2h, 1d"
    assert str(caught.value) == f"--start: {given!r} is no time; {said}"


def test_a_preset_may_hold_its_sources_and_options_go_before_it(tmp_path: Path) -> None:
    (tmp_path / "cameras.yaml").write_text(
        "source: {uris: [a.mp4, b.mp4]}\noutput: {folder: results, overwrite: true}\n"
    )
    settings = load(str(tmp_path / "cameras.yaml"))
    assert settings.source.uris == ("a.mp4", "b.mp4")
    assert (settings.output.folder, settings.output.overwrite) == ("results", True)
    assert load(str(tmp_path / "cameras.yaml"), (), {"source.uris": ["c.mp4"]}).source.uris == ("c.mp4",)
    assert load(None, ["source.uris=c.mp4"]).source.uris == ("c.mp4",)


def test_sources_are_neither_printed_with_the_settings_nor_need_to_be_unicode() -> None:
    settings = load(None, (), {"source.uris": ["rtsp://me:s3cret@camera/1", "caf\udce9.mp4"]})
    assert settings.source.uris[1] == "caf\udce9.mp4"
    assert "s3cret" not in settings.model_dump_json()
