"""YAML and command line to settings; every mistake is named, all at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from configs.errors import ConfigError
from configs.schema import Settings

PRESETS = Path(__file__).parent
_OF_TRAININGS = ("train-", "bottom_up")
"""Begin the names of presets for a training; the others are for a pipeline."""

Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True)
class _Origin:
    """Where a value came from."""

    name: str
    """A file, --set, or what was typed instead of the key, as --imgsz."""
    typed: bool = False
    """True: the name stands for the key."""


def load(
    file: str | None,
    assignments: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a pipeline: see `load_as`."""
    return load_as(Settings, file, assignments, changes, typed)


def load_as(
    form: type[Form],
    file: str | None,
    assignments: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Form:
    """Settings: defaults, changed by a file, then by `key=value`s, then by options.

    Args:
        form: what is set.
        file: a YAML file's path, or the name of a preset beside this file; None: no file.
        assignments: "section.key=value" each, the value in YAML.
        changes: "section.key" -> value; None changes nothing.
        typed: "section.key" -> what the user typed instead of it, as --imgsz: errors call it so.

    Raises:
        ConfigError: a file or a value cannot be used; a line for each mistake, each with where it was made.
    """
    values: dict[str, Any] = {}
    origins: dict[str, _Origin] = {}
    if file is not None:
        path = _find(file)
        for key, value in _flat(_read(path, form)).items():
            values[key], origins[key] = value, _Origin(str(path))
    for assignment in assignments:
        key, value = _assignment(assignment)
        values[key], origins[key] = value, _Origin("--set")
    for key, value in (changes or {}).items():
        if value is not None:
            values[key], origins[key] = value, _Origin((typed or {}).get(key, key), typed=True)
    try:
        return form.model_validate(_nested(values))
    except ValidationError as error:
        # what follows from another setting's mistake is none of its own
        mistakes = [dict(each) for each in error.errors() if each["type"] != "default_factory_not_called"]
        raise ConfigError("\n".join(_line(form, mistake, origins) for mistake in mistakes)) from None


def resolve(settings: Settings) -> Settings:
    """The settings of a pipeline: what one section implies for another is written out.

    A tracker looks at nobody below its low score, so the network need not either, whatever its mode. On a cluster's
    other machines a file of weights has the path that leads to it from anywhere.
    """
    weights = settings.engine.weights
    changed: dict[str, object] = {"score_min": max(settings.engine.score_min or 0.0, settings.track.score_low)}
    if settings.cluster.address is not None and os.path.isfile(path := os.path.expanduser(weights)):
        changed["weights"] = os.path.abspath(path)
    return settings.model_copy(update={"engine": settings.engine.model_copy(update=changed)})


def presets(form: type[BaseModel] = Settings) -> list[str]:
    """Names of the presets that come with the project."""
    names = (path.stem for path in PRESETS.glob("*.yaml"))
    return sorted(name for name in names if name.startswith(_OF_TRAININGS) != (form is Settings))


def _find(file: str) -> Path:
    preset = PRESETS / f"{file}.yaml"
    # os.path: to pathlib a name that is too long for the system is an error, to this one it is not there
    return preset if not os.path.exists(file) and os.path.exists(preset) else Path(file)


def _read(path: Path, form: type[BaseModel]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give a YAML file or a preset: {', '.join(presets(form))}") from None
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


def _line(form: type[BaseModel], mistake: dict[str, Any], origins: Mapping[str, _Origin]) -> str:
    loc = [str(at) for at in mistake["loc"]]
    key = ".".join(loc[:2])
    origin = origins.get(key) or _Origin(_section_origins(key, origins))
    called = origin.name if origin.typed or not key else f"{origin.name}: {key}"
    if mistake["type"] == "extra_forbidden":
        return f"{called} is unknown{_nearest(form, loc)}"
    if mistake["type"] == "value_error":
        return f"{called}: {mistake['ctx']['error']}"
    if mistake["type"] == "model_type":
        return f"{called} is {mistake['input']!r}; it should be a mapping, as in  {key}: {{key: value}}"
    said = mistake["msg"].replace("Input should", "it should").replace("String should", "it should")
    return f"{called} is {mistake['input']!r}; {said}"


def _section_origins(section: str, origins: Mapping[str, _Origin]) -> str:
    """Where the values of a section came from: of a mistake that lies in several of them together."""
    names = [origin.name for key, origin in origins.items() if key.startswith(f"{section}.")]
    return ", ".join(dict.fromkeys(names)) or "settings"


def _nearest(form: type[BaseModel], loc: Sequence[str]) -> str:
    if len(loc) > 1:
        sections = {field.alias or name: field.annotation for name, field in form.model_fields.items()}
        section = sections[loc[0]]
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        form = section
    known = [field.alias or name for name, field in form.model_fields.items()]
    close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
