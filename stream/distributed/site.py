"""Whether a node of a cluster would do the same work as the machine that the run was started on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from configs.errors import ConfigError, PosestreamError, RefusedError
from configs.schema import EngineSettings, Settings
from stream.distributed.tasks import Shared, Site
from stream.job import content_of
from stream.messages import SourceSpec
from stream.unfinished import LOCK

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("configs", "engines", "stream")
_SEEN_WITHIN_S = 5.0
"""A network's file system may show what was just written so late."""


def site(engine: EngineSettings, shared: Shared) -> Site:
    """What is found on this machine."""
    return Site(
        host=socket.gethostname(),
        version=importlib.metadata.version("posestream"),
        code=_code(),
        weights=_weights(engine),
        missing=_missing(shared),
        asks_for_token=os.environ.get("RAY_AUTH_MODE") == "token",
    )


def shared_of(specs: Sequence[SourceSpec]) -> Shared:
    """What all nodes must see of a run's sources and folders, which this process owns."""
    mark = Path(specs[0].folder) / LOCK
    source = next((spec.path for spec in specs if os.path.exists(spec.path)), "")
    return Shared(str(mark), mark.read_text(errors="replace") if mark.exists() else "", source)


def refusal(there: Site, here: Site, settings: Settings) -> PosestreamError | None:
    """Why a node may not take part; None: it may."""
    if settings.cluster.authentication == "token" and not there.asks_for_token:
        return RefusedError(
            f"node {there.host} lets anybody in: start Ray there with RAY_AUTH_MODE=token, or give "
            "--set cluster.authentication=none"
        )
    if there.version != here.version:
        return ConfigError(
            f"node {there.host} has posestream {there.version}, this machine {here.version}; install the same on both"
        )
    if there.code != here.code:
        return ConfigError(
            f"node {there.host} has other files of posestream {there.version} than this machine; install the same "
            "on both"
        )
    if there.weights != here.weights:
        return ConfigError(
            f"node {there.host} has other weights at {settings.engine.weights} than this machine, or none; put the "
            "file on storage that all nodes share"
        )
    if there.missing:
        return ConfigError(
            f"node {there.host} does not see {there.missing} as this machine does; sources and --output must lie on "
            "storage that all nodes share"
        )
    return None


def _weights(engine: EngineSettings) -> str:
    path = os.path.expanduser(engine.weights)
    return content_of(path) if os.path.isfile(path) else ""


def _missing(shared: Shared) -> str:
    if shared.source and not os.path.exists(shared.source):
        return shared.source
    until_s = time.monotonic() + _SEEN_WITHIN_S
    while shared.content and not _holds(Path(shared.mark), shared.content):
        if time.monotonic() > until_s:
            return str(Path(shared.mark).parent)
        time.sleep(0.2)
    return ""


def _holds(path: Path, content: str) -> bool:
    try:
        return path.read_text(errors="replace") == content
    except OSError:
        return False


def _code() -> str:
    """Digest of the installed program and of the weights that come with it."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(_files()):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def _files() -> Iterable[Path]:
    for package in _PACKAGES:
        yield from (_ROOT / package).rglob("*.py")
    yield from (_ROOT / "engines" / "assets").glob("*.safetensors")
