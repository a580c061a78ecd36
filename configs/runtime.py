"""The settings of how stages are grouped, joined and watched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.fields import Section

StageName = Literal[
    "decode", "infer", "dump", "nms", "track", "records", "publish", "web", "render", "restream", "show", "video"
]


_STAGES = ["decode", "infer", "nms", "track", "records", "render", "video"]
OPTIONAL: dict[StageName, StageName] = {
    "dump": "infer",
    "publish": "track",
    "web": "track",
    "restream": "render",
    "show": "render",
}
"""Stages that run only where they are wanted, and behind which one each stands."""
DRAWN = {"render", "restream", "show", "video"}
"""Stages that share drawn pixels, and so a group."""


class RuntimeSettings(Section):
    """How stages are grouped, joined and watched."""

    quiet: bool = Field(False, description="Say nothing but errors.")
    transport: Literal["ipc", "inproc"] = Field(
        "ipc", description="ipc: each group is a process; inproc: all groups are threads of one process."
    )
    groups: tuple[tuple[StageName, ...], ...] = Field(
        (
            ("decode",),
            ("infer",),
            ("dump", "nms", "track", "records", "publish", "web"),
            ("render", "restream", "show", "video"),
        ),
        description="Which stages share a process or thread, in order.",
    )
    decoders: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Files decoded side by side.")
    slots: Annotated[int, Field(ge=2, le=256)] | None = Field(
        None,
        description="Frames of one decoder that may be under way at once: bounds memory and age; null: 8, or more "
        "where a batch asks for more.",
    )
    cut_every: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        256,
        description="After so many frames of a file what is done is committed: from there an interrupted run goes on; "
        "0: never.",
    )
    hang_after_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        120.0, description="A stage that makes no progress for so long, though frames wait for it, is taken for hung."
    )

    @model_validator(mode="after")
    def _groups_are_the_pipeline(self) -> RuntimeSettings:
        named = [stage for group in self.groups for stage in group]
        flat = list(named)
        for stage, before in OPTIONAL.items():
            if flat.count(stage) == 1 and before in flat[: flat.index(stage)]:
                flat.remove(stage)
        if sorted(flat) != sorted(_STAGES) or flat[:4] != _STAGES[:4] or flat.index("render") > flat.index("video"):
            behind = ", ".join(f"{stage} behind {before}" for stage, before in OPTIONAL.items())
            raise ValueError(
                f"groups list the stages {named}; they must be decode, infer, nms, track, in this order, then records, "
                f"render, video, each once, render before video, and where it is wanted {behind}"
            )
        if "web" in named and named.index("web") > named.index("render"):
            raise ValueError("groups have web behind render; it must come before, for it shows undrawn pictures")
        if "dump" in named and named.index("dump") > named.index("nms"):
            raise ValueError("groups have dump behind nms; it must stand before, for a replay begins with nms")
        if sum(not DRAWN.isdisjoint(group) for group in self.groups) > 1:
            raise ValueError(
                "groups part render from video, restream or show; they must share a group, for they share drawn pixels"
            )
        if flat.index("records") > flat.index("render"):
            raise ValueError(
                "groups have records behind render; they must come before, for a drawn picture may be scaled"
            )
        return self
