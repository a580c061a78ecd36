"""YAML and command line to settings; every mistake is named, all at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from configs.errors import ConfigError
from configs.schema import Settings

PRESETS = Path(__file__).parent


def load(file: str | None, assignments: Sequence[str] = (), changes: Mapping[str, Any] | None = None) -> Settings:
    """Give the settings: defaults, changed by a file, by `key=value`s, by the command line's own options.

    Args:
        file: a YAML file's path, or the name of a preset beside this file; None: no file.
        assignments: "part.key=value" each, the value in YAML.
        changes: "part.key" -> value; None values change nothing.

    Raises:
        ConfigError: file or value cannot be used.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        path = _find(file)
        for key, value in _flat(_read(path)).items():
            values[key], origins[key] = value, str(path)
    for assignment in assignments:
        key, value = _assignment(assignment)
        values[key], origins[key] = value, "--set"
    for key, value in (changes or {}).items():
        if value is not None:
            values[key], origins[key] = value, "command line"
    try:
        return Settings.model_validate(_nested(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_line(dict(mistake), origins) for mistake in error.errors())) from None


def presets() -> list[str]:
    """Give the names of the presets that come with the project."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def _find(file: str) -> Path:
    preset = PRESETS / f"{file}.yaml"
    # os.path: to pathlib a name that is too long for the system is an error, to this one it is not there
    return preset if not os.path.exists(file) and os.path.exists(preset) else Path(file)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give a YAML file or a preset: {', '.join(presets())}") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a date that is none
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}: " if where else ""
        raise ConfigError(f"{path}: {line}not YAML: {getattr(error, 'problem', None) or 'cannot be read'}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}; expected parts with keys, as in  track:")
    return content


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for part, keys in content.items():
        if isinstance(keys, dict):
            flat |= {f"{part}.{key}": value for key, value in keys.items()}
        elif keys is not None:
            flat[str(part)] = keys
    return flat


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        part, dot, name = key.partition(".")
        if not dot:
            nested[part] = value
        elif isinstance(nested.setdefault(part, {}), dict):  # else the file has a mistake there: that is what is said
            nested[part][name] = value
    return nested


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+\.\w+", key):
        raise ConfigError(f"--set {text}: expected part.key=value, as in track.lost_after_s=2")
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {text}: {value!r} is not a YAML value") from None


def _line(mistake: dict[str, Any], origins: Mapping[str, str]) -> str:
    loc = [str(at) for at in mistake["loc"]]
    key = ".".join(loc[:2])
    origin = origins.get(key) or next(
        (file for name, file in origins.items() if name.startswith(f"{key}.")), "settings"
    )
    if mistake["type"] == "extra_forbidden":
        return f"{origin}: {key} is unknown{_nearest(loc)}"
    if mistake["type"] == "value_error":
        return f"{origin}: {key}: {mistake['ctx']['error']}" if key else f"settings: {mistake['ctx']['error']}"
    if mistake["type"] == "model_type":
        return f"{origin}: {key} is {mistake['input']!r}; it should be a mapping, as in  {key}: {{key: value}}"
    said = mistake["msg"].replace("Input should", "it should").replace("String should", "it should")
    return f"{origin}: {key} is {mistake['input']!r}; {said}"


def _nearest(loc: Sequence[str]) -> str:
    known: Mapping[str, Any] = Settings.model_fields
    if len(loc) > 1:
        section = Settings.model_fields[loc[0]].annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        known = section.model_fields
    close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
