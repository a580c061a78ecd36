"""Every option of the command line, once: its names, the setting it changes, its panel.

Type, choices, range, default and, unless the option has its own, the help text are the setting's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from configs.errors import ConfigError
from configs.schema import Settings

_LIVE = "comes in a later version; "


@dataclass(frozen=True)
class Option:
    """One option."""

    names: str
    """As on the command line, "--output -o" or "--save/--no-save"; the first is how errors call it."""
    panel: str
    """Heading of the help under which it stands."""
    key: str = ""
    """The setting it changes, as engine.imgsz; empty: it is the command's own."""
    text: str = ""
    """What the help says; empty: the setting's description."""
    metavar: str | None = None
    own_type: Any = bool
    """Type of an option without a key."""
    later: str = ""
    """Why it cannot be used yet; empty: it can."""

    @property
    def name(self) -> str:
        """The first of its names, as --save."""
        return self.names.split()[0].partition("/")[0]

    @property
    def parameter(self) -> str:
        """Its name as a Python identifier, as max_people."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def type(self) -> Any:
        """Type of its values: bool, int, float, str, list[str] or a Literal."""
        if not self.key:
            return self.own_type
        bare, constraints = _domain(field(self.key))
        if get_origin(bare) is tuple:
            return list[str]
        return str if any(isinstance(each, BeforeValidator) for each in constraints) else bare

    @property
    def help(self) -> str:
        """One line: what it does, the range of its values, its default."""
        if not self.key:
            return self.text
        setting = field(self.key)
        said, _, unset = (setting.description or "").partition("; null: ")
        default = setting.get_default()
        notes = ["" if self.type is str else _range(_domain(setting)[1])]
        if unset:
            notes.append(f"default: {unset.removesuffix('.')}")
        elif not isinstance(default, bool | tuple):
            notes.append(f"default: {default}")
        within = "; ".join(filter(None, notes))
        return (self.text or said).rstrip(".") + (f" ({within})." if within else ".")


OPTIONS = (
    Option(
        "--source -s",
        "Source",
        "source.uris",
        "File, folder, glob, camera (0, /dev/video0), address (rtsp://, http://, …), -, or a list of them "
        "(.streams, .csv, .jsonl); NAME=SOURCE names it; repeatable. "
        "None: a demo.",
    ),
    Option("--recursive -r", "Source", "source.recursive"),
    Option("--include", "Source", "source.include", metavar="GLOB"),
    Option("--exclude", "Source", "source.exclude", metavar="GLOB"),
    Option("--jobs", "Source", "runtime.decoders"),
    Option("--start", "Source", "decode.start_s", metavar="TIME"),
    Option("--end", "Source", "decode.end_s", metavar="TIME"),
    Option("--realtime/--lossless", "Source", "source.realtime"),
    Option("--target-fps", "Source", "infer.target_fps"),
    Option("--max-age", "Source", "infer.max_age_s"),
    Option("--reconnect-limit", "Source", "live.reconnect_limit"),
    Option("--skip-damaged", "Source", "live.skip_damaged"),
    Option("--allow-pipe", "Source", "source.allow_pipe"),
    Option("--model", "Model", "engine.model"),
    Option("--weights", "Model", "engine.weights", metavar="FILE"),
    Option("--grouping", "Model", "engine.grouping"),
    Option("--device", "Model", "engine.device", metavar="<auto|cpu|cuda:N>"),
    Option("--backend", "Model", "engine.backend"),
    Option("--precision", "Model", "engine.precision"),
    Option("--mode", "Model", "engine.mode"),
    Option("--imgsz", "Model", "engine.imgsz"),
    Option("--proposals", "Model", "engine.proposals"),
    Option("--uncertainty", "Model", "engine.uncertainty"),
    Option("--verify-engine", "Model", "engine.verify"),
    Option("--conf", "Model", "track.score_high", "Lowest score of a new person."),
    Option("--kpt-thr", "Model", "render.kpt_thr"),
    Option("--max-people", "Model", "engine.people_max"),
    Option("--smooth", "Model", "smooth.method"),
    Option("--output -o", "Output", "output.folder", metavar="DIR"),
    Option("--overwrite", "Output", "output.overwrite"),
    Option("--save/--no-save --video/--no-video", "Output", "video.save"),
    Option("--blur-faces", "Output", "render.blur_faces"),
    Option("--skeleton-only", "Output", "render.skeleton_only"),
    Option("--side-by-side", "Output", "render.side_by_side"),
    Option("--scale", "Output", "render.scale"),
    Option("--codec", "Output", "video.codec"),
    Option("--crf", "Output", "video.crf"),
    Option("--encoder", "Output", "video.encoder"),
    Option("--records/--no-records", "Output", "records.save"),
    Option(
        "--format",
        "Output",
        "records.formats",
        "Records also as csv, parquet, coco, coco-annotations, openpose, mot, mmpose, ultralytics, trc, c3d or npz, "
        "several joined by commas.",
        metavar="NAME",
    ),
    Option("--segment", "Output", "video.segment_s", metavar="TIME"),
    Option("--keep", "Output", "video.keep_s", metavar="TIME"),
    Option("--dump", "Output", "dump.file", metavar="FILE"),
    Option(
        "--resume",
        "Output",
        text="Go on with an interrupted run; the same command does so by itself.",
    ),
    Option("--show/--no-show", "Live view", "window.show"),
    Option("--web", "Live view", "web.address", metavar="[HOST:]PORT"),
    Option(
        "--publish",
        "Live view",
        "publish.addresses",
        "Keypoints to other programs: tcp://HOST:PORT, ipc://PATH or mqtt://HOST/TOPIC; repeatable.",
        metavar="ADDRESS",
    ),
    Option(
        "--restream",
        "Live view",
        "restream.address",
        "Annotated video to rtsp://, rtmp://, srt:// or udp://HOST…, or DIR/index.m3u8 for HLS; {source}: its name.",
        metavar="ADDRESS",
    ),
    Option("--ray", "Run", "cluster.address", metavar="auto|HOST:PORT"),
    Option("--config", "Run", text="YAML, or a preset's name.", metavar="FILE", own_type=str),
    Option("--set", "Run", text="Any setting, as track.lost_after_s=2.", metavar="KEY=VALUE", own_type=list[str]),
    Option("--quiet -q", "Run", "runtime.quiet"),
    Option("--json", "Run", text="Print the summary as JSON."),
    Option("--debug", "Run", text="Show tracebacks."),
    Option("--version", "Run", text="Print the version."),
)


TYPED = {option.key: option.name for option in OPTIONS if option.key}
"""Setting -> the option that changes it."""


def changes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that options change: key -> value.

    Args:
        given: parameter -> value; None: not given.

    Raises:
        ConfigError: one of them cannot be used yet.
    """
    for option in OPTIONS:
        if option.later and given.get(option.parameter):
            raise ConfigError(f"{option.name} {option.later}")
    return {option.key: given.get(option.parameter) for option in OPTIONS if option.key}


def keywords(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings that keyword arguments of a Python call change, key -> value, and key -> the argument's name.

    Args:
        given: an option of the source or the model as model="lite", or any setting as track_lost_after_s=2.

    Raises:
        ConfigError: there is no such option and no such section.
    """
    known = {option.parameter: option.key for option in OPTIONS if option.key and option.panel in ("Source", "Model")}
    del known["source"]  # the call's own argument
    changed, typed = {}, {}
    for name, value in given.items():
        section, _, rest = name.partition("_")
        if name not in known and not (rest and section in Settings.model_fields):
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}, and settings as nms_oks_max"
            )
            raise ConfigError(f"{name} is unknown; {hint}")
        key = known.get(name, f"{section}.{rest}")
        changed[key], typed[key] = value, name
    return changed, typed


def field(key: str) -> FieldInfo:
    """The field of the settings that a key as engine.imgsz names."""
    section, _, name = key.partition(".")
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model.model_fields[name]


def _domain(info: FieldInfo) -> tuple[Any, list[Any]]:
    """A field's type without None, and what constrains it."""
    bare, constraints = info.annotation, list(info.metadata)
    if NoneType in get_args(bare):
        (bare,) = (each for each in get_args(bare) if each is not NoneType)
    if get_origin(bare) is Annotated:
        bare, *more = get_args(bare)
        for each in more:
            constraints += each.metadata if isinstance(each, FieldInfo) else [each]
    return bare, constraints


def _range(constraints: Iterable[Any]) -> str:
    least, most = None, None
    for each in constraints:
        least, most = getattr(each, "ge", least), getattr(each, "le", most)
    return f"{least}..{most}" if least is not None and most is not None else ""
