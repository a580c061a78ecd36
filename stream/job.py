"""All that the outputs of a recording follow from: whether a run may go on where another one has stopped."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from configs.schema import Settings
from stream.messages import SourceSpec

_EDGE_BYTES = 1 << 16
_OTHER_SECTIONS = {"source", "output", "live", "dump", "publish", "window", "restream", "web", "cluster"}
_OTHER_KEYS = {
    "decode.start_s",
    "decode.end_s",
    "engine.verify",
    "infer.target_fps",
    "infer.max_age_s",
    "infer.workers",
} | {f"runtime.{key}" for key in ("quiet", "transport", "groups", "decoders", "hang_after_s")}
"""Settings that change no output of a recording; the range is the source's own. One that is not known here does."""


class Job(Struct, frozen=True):
    """What is made of what."""

    source: str
    """The source's name in its records."""
    content: str
    """Digest of its length, its beginning and its end, or of an image folder's names and lengths."""
    start_s: float
    end_s: float | None
    weights: str
    """Digest of a file of weights; empty where they come with the model's name."""
    version: str
    """Of posestream."""
    settings: dict[str, Any]
    """Key, as engine.imgsz -> value."""


def is_recording(spec: SourceSpec) -> bool:
    """Whether a source can be read again, so that a run can go on with it."""
    return not spec.live and bool(spec.uri) and spec.kind != "messages"


def job_of(spec: SourceSpec, settings: Settings) -> Job:
    """What is made of a recording with these settings."""
    weights = Path(os.path.expanduser(settings.engine.weights))
    return Job(
        source=spec.name,
        content=content_of(spec.path),
        start_s=settings.decode.start_s if spec.start_s is None else spec.start_s,
        end_s=settings.decode.end_s if spec.end_s is None else spec.end_s,
        weights=content_of(str(weights)) if weights.is_file() else "",
        version=importlib.metadata.version("posestream"),
        settings=_settings(settings),
    )


def difference(was: Job, now: Job) -> str:
    """The first thing in which two jobs differ, for people; empty: in nothing."""
    if was.content != now.content:
        return "the source is another one, or was changed since"
    if was.weights != now.weights:
        return "the weights are others, or were changed since"
    plain: list[tuple[str, Any, Any]]
    plain = [("name", was.source, now.source), ("posestream", was.version, now.version)]
    plain += [("--start", was.start_s, now.start_s), ("--end", was.end_s, now.end_s)]
    keys = sorted({*was.settings, *now.settings})
    for name, before, after in [*plain, *((key, was.settings.get(key), now.settings.get(key)) for key in keys)]:
        if before != after:
            return f"{name} was {_said(before)} and is {_said(after)}"
    return ""


def _settings(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, values in settings.model_dump(mode="json").items():
        if section not in _OTHER_SECTIONS:
            flat |= {f"{section}.{key}": value for key, value in values.items()}
    return {key: value for key, value in flat.items() if key not in _OTHER_KEYS}


def _said(value: object) -> str:
    return "not set" if value is None else str(value)


def content_of(path: str) -> str:
    """Digest of a file or a folder; empty where there is none: that is told when it is read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        if os.path.isdir(path):
            for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
                digest.update(f"{entry.name} {entry.stat().st_size}\n".encode(errors="surrogateescape"))
            return digest.hexdigest()
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(f"{size}\n".encode() + file.read(_EDGE_BYTES))
            file.seek(max(size - _EDGE_BYTES, 0))
            digest.update(file.read(_EDGE_BYTES))
    except OSError:
        return ""
    return digest.hexdigest()
