"""The settings of a run on a Ray cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from configs.fields import Section


class ClusterSettings(Section):
    """How a batch of recordings is shared out over a Ray cluster."""

    address: str | None = Field(
        None, description="Run on a Ray cluster: auto is the one of this machine; null: on this machine alone."
    )
    runners: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="Runners at most, each in a process of its own: bounds what is under way, and is what an "
        "autoscaler is asked for; null: as many as the cluster has room for, also while it grows.",
    )
    cpus: Annotated[float, Field(ge=0.1, le=1024)] = Field(
        1.0, description="CPUs of a runner; on a CPU also its networks, of one thread each."
    )
    gpus: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="GPUs of a runner; null: 1 where the cluster has any and --device is not cpu, else 0."
    )
    split: bool = Field(
        True, description="Share out the frames of a recording that is longer than what one runner would get of all."
    )
    authentication: Literal["token", "none"] = Field(
        "token", description="token: refuse nodes that do not ask for Ray's token; none: let anybody in."
    )
