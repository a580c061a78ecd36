"""Every setting: its unit, default, range and one sentence."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from configs.cluster import ClusterSettings
from configs.fields import Seconds, Section, Share, names, one_or_more
from configs.outlets import DumpSettings, RestreamSettings, WebSettings, WindowSettings
from configs.runtime import DRAWN, OPTIONAL, RuntimeSettings, StageName
from configs.skeleton import SkeletonSettings
from configs.sources import DecodeSettings, LiveSettings, SourceSettings
from configs.video import RenderSettings, VideoSettings

SCORE_LOW = 0.3


class OutputSettings(Section):
    """Where the outputs go."""

    folder: str | None = Field(
        None, description="Of a single source, or the parent of several; null: runs/NAME, numbered if taken."
    )
    overwrite: bool = Field(False, description="Write into the folder though it is there.")


ModelName = Literal["auto", "lite", "lite-next", "bottom-up", "r50", "r50-d2", "r101", "x101"]
BackendName = Literal["auto", "eager", "openvino", "inductor", "tensorrt"]


class EngineSettings(Section):
    """Which network finds the people, and where it runs."""

    model: ModelName = Field("auto", description="Architecture; auto: lite on a CPU, r50 on a GPU.")
    weights: str = Field("auto", description="auto: what belongs to the model; else a published name or a file's path.")
    device: str = Field(
        "auto",
        description="auto: cuda where there is one, else cpu. Several, as cuda:0,cuda:1: frames are shared out.",
    )
    backend: BackendName = Field("auto", description="What runs the network's parts; auto: measured once, then kept.")
    precision: Literal["auto", "fp32", "fp16"] = Field(
        "auto", description="What a GPU computes in; auto: fp16. A CPU computes in fp32."
    )
    mode: Literal["exact", "fast"] = Field("exact", description="exact: torchvision's results; fast: less work.")
    imgsz: Annotated[int, Field(ge=64, le=4096)] | None = Field(
        None,
        description="Short side of the network's input, in pixels; null: the mode's own, exact: lite 320, r50 800.",
    )
    proposals: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Region proposals kept per frame; null: the mode's own, exact: lite 100, r50 1000."
    )
    score_min: Share | None = Field(
        None,
        description="People scored below this are dropped before the keypoint head; null: in a pipeline "
        "track.score_low, and never below it, else the mode's own, exact: 0.05, fast: 0.3.",
    )
    people_max: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="People per frame at most, best first; null: the mode's own, exact: lite 30, r50 100.",
    )
    threads: Annotated[int, Field(ge=0, le=256)] = Field(0, description="CPU threads; 0: one a core.")
    grouping: Literal["tags", "paf"] = Field(
        "paf",
        description="How bottom-up makes people of keypoints: paf: part affinity fields; tags: associative embedding.",
    )
    uncertainty: Literal["none", "mc"] = Field(
        "none",
        description="How sure each keypoint's place is, in the records; mc: its spread over passes of the keypoint "
        "head with dropout.",
    )
    mc_passes: Annotated[int, Field(ge=2, le=100)] = Field(10, description="Passes of --uncertainty mc.")
    mc_dropout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Share of the channels that each pass of --uncertainty mc drops."
    )
    verify: bool = Field(False, description="Compare the backend with eager torch before the first frame, and say so.")

    @field_validator("device")
    @classmethod
    def _device_is_one(cls, device: str) -> str:
        # Two digits at most: torch keeps 8 bits of the number, and cuda:256 would be the first GPU.
        names = device.split(",")
        if device != "auto" and not all(re.fullmatch(r"cpu|cuda(:(0|[1-9][0-9]?))?", name) for name in names):
            raise ValueError(
                f"{device!r} is no device; it should be auto, cpu, cuda, cuda:0 to cuda:99, or several as cuda:0,cuda:1"
            )
        return device


class InferSettings(Section):
    """How frames are shared out over networks, and gathered into batches."""

    workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None,
        description="Networks a device that share the frames of files; null: on a CPU one a core, 8 at most, else 1.",
    )
    batch_max: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Frames in one batch at most; null: 1 on a CPU, on a GPU 8 and at most half of runtime.slots."
    )
    target_fps: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        None,
        description="Rate held for live sources: where the network is too slow it looks at fewer frames, then at a "
        "smaller input; null: late frames are dropped.",
    )
    max_age_s: Annotated[float, Field(gt=0, le=60)] = Field(
        0.5, description="A live frame that is older when its turn comes is dropped: the newest wins."
    )
    delay_s_max: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="A live frame waits at most so long for others to share its batch."
    )


class NmsSettings(Section):
    """When two poses of a frame are one person."""

    oks_max: Share = Field(0.5, description="Of two poses more alike than this, the lower scored is dropped.")


class TrackSettings(Section):
    """How one person is followed from frame to frame."""

    score_high: Share = Field(0.6, description="A pose scored at or above this may start a track.")
    score_low: Share = Field(
        default_factory=lambda values: min(SCORE_LOW, values.get("score_high", SCORE_LOW)),
        description=f"A pose scored at or above this may continue a track; unset: {SCORE_LOW}, at most score_high.",
    )
    match_min: Share = Field(0.25, description="A pose joins a track only at or above this similarity.")
    confirm_s: Seconds = Field(0.08, description="A person is shown after being followed for so long.")
    lost_after_s: Seconds = Field(1.0, description="A track unseen for longer than this has ended.")

    @model_validator(mode="after")
    def _low_below_high(self) -> TrackSettings:
        if self.score_low > self.score_high:
            raise ValueError(f"score_low is {self.score_low}; it must not pass score_high, {self.score_high}")
        return self


class SmoothSettings(Section):
    """How keypoints are smoothed."""

    method: Literal["ema", "one-euro", "offline", "none"] = Field(
        "ema",
        description="Smoothing of keypoints over time; offline: without lag, in a second pass over a recording; none: "
        "as detected.",
    )
    tau_s: Seconds = Field(0.05, description="Time constant for a keypoint of full confidence; 0: no smoothing.")
    jump_share: Annotated[float, Field(gt=0, le=10)] = Field(
        0.35, description="A keypoint further off than this share of the person's size for 0.15 s starts anew."
    )
    cutoff_hz: Annotated[float, Field(gt=0, le=1000)] = Field(
        6.0, description="Offline: motion of this frequency is halved, slower motion kept, faster removed."
    )
    gap_s_max: Seconds = Field(0.5, description="Offline: a person unseen for no longer is put in between.")


FormatName = Literal[
    "jsonl",
    "csv",
    "parquet",
    "coco",
    "coco-annotations",
    "openpose",
    "mot",
    "mmpose",
    "ultralytics",
    "trc",
    "c3d",
    "npz",
]
"""What `stream.export` writes; a test holds this list and its own together."""


class RecordsSettings(Section):
    """How the keypoint records are written."""

    save: bool = Field(True, description="Write keypoints.jsonl.")
    formats: Annotated[tuple[FormatName, ...], BeforeValidator(names)] = Field(
        (), description="Write the records also in these formats when a source has ended, as csv,coco."
    )

    @model_validator(mode="after")
    def _formats_come_from_records(self) -> RecordsSettings:
        if self.formats and not self.save:
            raise ValueError(f"formats are {','.join(self.formats)}; they are made of the records, which are not saved")
        return self


class PublishSettings(Section):
    """Where other programs get the keypoints as they come."""

    addresses: Annotated[tuple[str, ...], BeforeValidator(one_or_more)] = Field(
        (), description="tcp://HOST:PORT or ipc://PATH, either with ?format=json, or mqtt://HOST/TOPIC."
    )
    keys: str | None = Field(
        None,
        description="Folder of the keys of clients on other machines, as `python -m stream.keys` makes it; null: "
        "~/.config/posestream/keys.",
    )
    mqtt_rate_hz_max: Annotated[float, Field(gt=0, le=1000)] = Field(
        10.0, description="Records a second of one source at most that an MQTT broker gets."
    )


class Settings(Section):
    """All settings of a run."""

    source: SourceSettings = SourceSettings()
    output: OutputSettings = OutputSettings()
    decode: DecodeSettings = DecodeSettings()
    live: LiveSettings = LiveSettings()
    engine: EngineSettings = EngineSettings()
    skeleton: SkeletonSettings = SkeletonSettings()
    infer: InferSettings = InferSettings()
    nms: NmsSettings = NmsSettings()
    track: TrackSettings = TrackSettings()
    smooth: SmoothSettings = SmoothSettings()
    render: RenderSettings = RenderSettings()
    video: VideoSettings = VideoSettings()
    records: RecordsSettings = RecordsSettings()
    dump: DumpSettings = DumpSettings()
    publish: PublishSettings = PublishSettings()
    window: WindowSettings = WindowSettings()
    restream: RestreamSettings = RestreamSettings()
    web: WebSettings = WebSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    cluster: ClusterSettings = ClusterSettings()

    @model_validator(mode="after")
    def _devices_have_their_own_groups(self) -> Settings:
        if "," in self.engine.device and self.runtime.groups[:2] != (("decode",), ("infer",)):
            raise ValueError(f"several devices ({self.engine.device}) need decode and infer in groups of their own")
        return self

    @model_validator(mode="after")
    def _wanted_stages_have_a_group(self) -> Settings:
        for stage in self._wanted:
            if not any(stage in group for group in self.runtime.groups):
                raise ValueError(f"runtime.groups lacks {stage}, which is wanted; put it behind {OPTIONAL[stage]}")
        return self

    @property
    def _wanted(self) -> set[StageName]:
        """The stages of `OPTIONAL` that are to run."""
        wanted: dict[StageName, object] = {
            "dump": self.dump.file,
            "publish": self.publish.addresses,
            "web": self.web.address is not None,
            "restream": self.restream.address,
            "show": self.window.show,
        }
        return {stage for stage, asked in wanted.items() if asked}

    @property
    def stage_groups(self) -> list[tuple[StageName, ...]]:
        """The groups of stages that run: `runtime.groups` without what only serves outputs that are not wanted.

        Messages of a file need no network, and go through all stages in one group, for no slot bounds how many wait.
        """
        unwanted: set[StageName] = {*OPTIONAL} - self._wanted
        unwanted |= set() if self.records.save else {"records"}
        # an overlay that is smoothed offline is drawn when the records are whole
        draws = self.video.save and self.smooth.method != "offline"
        unwanted |= set() if draws else {"video"}
        unwanted |= set() if draws or not DRAWN.isdisjoint(self._wanted) else {"render"}
        groups = (tuple(stage for stage in group if stage not in unwanted) for group in self.runtime.groups)
        if self.source.is_recorded:
            return [tuple(stage for group in groups for stage in group if stage != "infer")]
        return [group for group in groups if group]
