"""The table of options against the settings, and what its options change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pytest

from configs.errors import ConfigError
from configs.load import load
from configs.options import OPTIONS, TYPED, Option, changes, field


def by_name(name: str) -> Option:
    (option,) = (option for option in OPTIONS if option.name == name)
    return option


def test_names_and_settings_are_unique() -> None:
    names = [name for option in OPTIONS for name in re.split(r"[ /]", option.names)]
    names = [name for name in names if name]
    keys = [option.key for option in OPTIONS if option.key]
    assert len(set(names)) == len(names)
    assert len(set(keys)) == len(keys) == len(TYPED)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("--source", list[str]),
        ("--start", str),
        ("--imgsz", int),
        ("--conf", float),
        ("--save", bool),
        ("--output", str),
        ("--mode", Literal["exact", "fast"]),
        ("--set", list[str]),
    ],
)
def test_an_option_s_type_is_its_setting_s(name: str, kind: object) -> None:
    assert by_name(name).type == kind


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("--conf", "Lowest score of a new person (0..1; default: 0.6)."),
        (
            "--proposals",
            "Region proposals kept per frame (1..1000; default: the mode's own, exact: lite 100, r50 1000).",
        ),
        ("--end", "Up to this time of the source: seconds or hh:mm:ss (default: to its end)."),
        ("--save", "Write overlay.mp4."),
        (
            "--smooth",
            "Smoothing of keypoints over time; offline: without lag, in a second pass over a recording; "
            "none: as detected (default: ema).",
        ),
    ],
)
def test_the_help_says_range_and_default_of_the_setting(name: str, said: str) -> None:
    assert by_name(name).help == said


def test_only_options_that_were_given_change_something() -> None:
    assert {key: value for key, value in changes({"conf": 0.4, "save": False}).items() if value is not None} == {
        "track.score_high": 0.4,
        "video.save": False,
    }
    assert load(None, (), changes({})) == load(None)


def test_the_command_line_goes_before_set_and_set_before_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("engine: {imgsz: 100, proposals: 10, people_max: 1}\n")
    engine = load(
        str(tmp_path / "my.yaml"), ["engine.imgsz=200", "engine.proposals=20"], changes({"imgsz": 300}), TYPED
    ).engine
    assert (engine.imgsz, engine.proposals, engine.people_max) == (300, 20, 1)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.later], ids=lambda option: option.name)
def test_an_option_of_a_later_version_says_so_when_used(option: Option) -> None:
    with pytest.raises(ConfigError, match=rf"^{option.name} comes (with live sources|in a later version)"):
        changes({option.parameter: "x"})
    assert changes({option.parameter: False}) == changes({})


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.key], ids=lambda option: option.name)
def test_a_value_out_of_place_is_said_as_it_was_typed(option: Option) -> None:
    with pytest.raises(ConfigError, match=rf"^{option.name}(:| is) "):
        load(None, (), changes({option.parameter: object()}), TYPED)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.key], ids=lambda option: option.name)
def test_every_setting_with_an_option_has_a_description(option: Option) -> None:
    assert field(option.key).description
