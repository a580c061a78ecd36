"""Kinds of values that settings have, and what every section of them is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds_of(value: Any) -> Any:
    """Seconds of 90, "1:30", "0:01:30.5" or "10m"; what is no text is left to the field."""
    if not isinstance(value, str):
        return value
    if value[-1:] in _UNITS_S and value[:-1].replace(".", "", 1).isdecimal():
        return float(value[:-1]) * _UNITS_S[value[-1]]
    try:
        parts = [float(part) for part in value.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or min(parts) < 0:
        raise ValueError(f"{value!r} is no time; it should be seconds or hh:mm:ss, as 90 or 0:01:30, or 10m, 2h, 1d")
    return float(sum(part * 60**at for at, part in enumerate(reversed(parts))))


def one_or_more(value: Any) -> Any:
    """A single text as a tuple of one; anything else as it is."""
    return (value,) if isinstance(value, str) else value


def text_of(value: Any) -> Any:
    """A whole number as text, as YAML reads 8080; anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def names(value: Any) -> Any:
    """A text of names joined by commas, or several such texts, as a tuple of names; anything else as it is."""
    texts = one_or_more(value)
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(name.strip() for text in texts for name in text.split(","))


Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Time = Annotated[Seconds, BeforeValidator(_seconds_of)]
"""A time in a source: seconds, or text as 1:30."""


class Section(BaseModel):
    """A part of the settings: unknown keys are refused, nothing changes after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
