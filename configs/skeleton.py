"""The keypoints of a person: their names, the lines between them, mirror pairs and OKS falloffs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from configs.coco import KEYPOINTS

Name = Annotated[str, Field(min_length=1, max_length=64)]
Sigma = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class SkeletonSettings(BaseModel):
    """Which keypoints a person has, in the order of the network's heat maps; COCO's 17 by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        KEYPOINTS,
        description="Keypoints in order; left and right are the person's own.",
    )
    limbs: tuple[tuple[Name, Name], ...] = Field(
        (
            ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"),
            ("right_knee", "right_hip"), ("left_hip", "right_hip"), ("left_shoulder", "left_hip"),
            ("right_shoulder", "right_hip"), ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"),
            ("right_shoulder", "right_elbow"), ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"),
            ("left_eye", "right_eye"), ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"),
            ("right_eye", "right_ear"), ("left_ear", "left_shoulder"), ("right_ear", "right_shoulder"),
        ),
        description="Pairs of keypoints that a line joins.",
    )  # fmt: skip
    mirror: tuple[tuple[Name, Name], ...] = Field(
        (
            ("left_eye", "right_eye"), ("left_ear", "right_ear"), ("left_shoulder", "right_shoulder"),
            ("left_elbow", "right_elbow"), ("left_wrist", "right_wrist"), ("left_hip", "right_hip"),
            ("left_knee", "right_knee"), ("left_ankle", "right_ankle"),
        ),
        description="Pairs of keypoints, left and right, that change places when a picture is mirrored.",
    )  # fmt: skip
    # Source: https://cocodataset.org/#keypoints-eval
    sigmas: tuple[Sigma, ...] = Field(
        (
            0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
            0.089, 0.089,
        ),
        description="OKS falloff of each keypoint, unitless.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _fits_together(self) -> SkeletonSettings:
        twice = _repeated(self.names)
        if twice:
            raise ValueError(f"names has {twice} twice; each keypoint needs a name of its own")
        if len(self.sigmas) != len(self.names):
            raise ValueError(f"sigmas has {len(self.sigmas)} numbers for {len(self.names)} names; one each is needed")
        for key, pairs in (("limbs", self.limbs), ("mirror", self.mirror)):
            for name in (name for pair in pairs for name in pair):
                if name not in self.names:
                    raise ValueError(f"{key} names {name}, which is not in names")
        twice = _repeated(name for pair in self.mirror for name in pair)
        if twice:
            raise ValueError(f"mirror has {twice} twice; a keypoint changes places with one other")
        return self


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that comes twice; None: each comes once."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
