"""The settings of what is drawn, and of how its video is written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from configs.fields import Seconds, Section, Share, Time

CodecName = Literal["h264", "hevc", "av1"]


class RenderSettings(Section):
    """What is drawn on a frame."""

    kpt_thr: Share = Field(0.3, description="Keypoints of lower confidence are not drawn.")
    labels: bool = Field(True, description="Write each person's id and score.")
    trail_s: Seconds = Field(0.0, description="Draw where each person was in the last seconds; 0: no trails.")
    hud: bool = Field(True, description="A line with frames per second, age and people.")
    blur_faces: bool = Field(
        False, description="Blur the faces of all people who are found, also where no keypoint of the face is sure."
    )
    skeleton_only: bool = Field(False, description="Draw on black instead of on the picture.")
    side_by_side: bool = Field(False, description="Show the picture beside what is drawn: source | overlay.")
    scale: Annotated[float, Field(gt=0, le=16_384)] | None = Field(
        None, description="Size of what is drawn: a factor, as 0.5, or a width in pixels, as 1280; null: the source's."
    )

    @field_validator("scale")
    @classmethod
    def _scale_is_factor_or_width(cls, scale: float | None) -> float | None:
        if scale is not None and 4 < scale < 16:
            raise ValueError(f"{scale:g} is neither a factor, at most 4, nor a width in pixels, at least 16")
        return scale


class VideoSettings(Section):
    """How the overlay video is written."""

    save: bool = Field(True, description="Write overlay.mp4.")
    codec: CodecName = Field(
        "h264", description="Codec of the overlay: h264 plays everywhere, hevc and av1 are smaller."
    )
    encoder: Literal["software", "hardware"] = Field(
        "software",
        description="hardware: the machine's own encoder where there is one; it spares the CPU, but may give other "
        "bytes each time.",
    )
    crf: Annotated[int, Field(ge=0, le=63)] | None = Field(
        None,
        description="Quality, smaller is better and larger, of h264 and hevc up to 51; null: near the source's size.",
    )
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"] = Field(
        "veryfast", description="Of x264, and what is like it of the others: time against size."
    )
    audio: bool = Field(True, description="Keep the source's sound.")
    segment_s: Time | None = Field(
        None, description="Cut the overlay of a live source into files of this length; null: one file."
    )
    keep_s: Time | None = Field(None, description="Delete such files when they are older than this; null: never.")
    keep_bytes: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Delete the oldest of them when they have more bytes in all; null: never."
    )

    @model_validator(mode="after")
    def _codec_has_that_quality(self) -> VideoSettings:
        if self.codec != "av1" and (self.crf or 0) > 51:
            raise ValueError(f"crf is {self.crf}; of {self.codec} it is 51 at most")
        return self
