"""Every setting of a training: its unit, default, range and one sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.fields import Section, Share
from configs.schema import ModelName
from configs.skeleton import SkeletonSettings

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, le=100)]
Side = Annotated[int, Field(ge=64, le=4096, multiple_of=32)]
Range = tuple[Positive, Positive]


class DataSettings(Section):
    """Which pictures are trained on."""

    labels: str | None = Field(
        None, description="A COCO keypoint file, or a folder with images/ and labels/ (YOLO-pose); null: none."
    )
    images: str | None = Field(None, description="Folder of a COCO file's pictures; null: images/ beside the file.")
    drawn: Share = Field(0.0, description="Share of pictures that show drawn people; 1: no data set is needed.")
    side_px: Annotated[int, Field(ge=64, le=8192)] = Field(
        512, description="Larger pictures are reduced until their long side is this, and kept decoded."
    )
    cache: str | None = Field(None, description="Folder of the decoded pictures; null: that of the user's cache.")


class PictureSettings(Section):
    """What a training picture shows."""

    height_px: Side = Field(320, description="Height of a training picture.")
    width_px: Side = Field(576, description="Width of a training picture.")
    packed: Share = Field(0.75, description="Share of canvases packed with crops of people; others are plain pictures.")
    crops: Annotated[int, Field(ge=1, le=1000)] = Field(36, description="Crops tried for a canvas.")
    person_px: Range = Field((40.0, 300.0), description="Least and most height of a person in crops and drawings.")
    scale: Range = Field((0.6, 1.25), description="Least and most scale of a plain picture; 1: it just fits.")
    turned: Share = Field(0.3, description="Share of the pictures behind the crops that are turned.")
    turned_deg: Annotated[float, Field(ge=0, le=180)] = Field(30.0, description="They are turned by at most this.")
    brightness: Share = Field(0.2, description="Changed by at most this share of white.")
    contrast: Share = Field(0.3, description="Changed by at most this.")
    saturation: Share = Field(0.4, description="Changed by at most this.")
    hue: Share = Field(0.03, description="Turned by at most this, in turns.")
    blur_px: Annotated[float, Field(ge=0, le=20)] = Field(1.0, description="Blurred by at most this, one in five.")
    noise: Annotated[float, Field(ge=0, le=255)] = Field(6.0, description="Noise, grey levels at most, one in five.")
    people: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (1, 6), description="Fewest and most people in a drawing."
    )


class InitSettings(Section):
    """What the network is at the beginning."""

    model: ModelName = Field("lite", description="Architecture.")
    weights: str | None = Field(
        None, alias="from", description="Begin with these: a model's name, a published name or a file; null: by chance."
    )
    norm: Literal["none", "frozen", "batch"] = Field(
        "none", description="Batch norm of the body: none, fixed as in the weights, or learned. It is folded on export."
    )

    @model_validator(mode="after")
    def _is_one(self) -> InitSettings:
        if self.model == "auto":
            raise ValueError("init.model is auto; a training needs the name of an architecture")
        return self


class LossSettings(Section):
    """What the network is to learn, and how much each task counts."""

    anchors: Annotated[int, Field(ge=1)] = Field(256, description="Anchors a picture that proposals are learned from.")
    proposals: Annotated[int, Field(ge=1)] = Field(256, description="Proposals a picture that boxes are learned from.")
    sigma_cells: Annotated[float, Field(ge=0, le=10)] = Field(
        0.0, description="Deviation of a keypoint's target over its map's cells; 0: one cell has it all."
    )
    jitter: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.05, description="Deviation of a person's box for the keypoint head, a share of its sides."
    )
    weights: dict[
        Literal["objectness", "anchors", "person", "boxes", "keypoints", "heat", "pull", "push", "fields"], Weight
    ] = Field({}, description="How much each loss counts; 1 where nothing is said.")


class OptimSettings(Section):
    """What changes the weights."""

    kind: Literal["sgd", "adamw", "rmsprop"] = Field("adamw", description="Optimiser.")
    rate: Positive = Field(4e-4, description="Highest learning rate.")
    body: Annotated[float, Field(ge=0, le=10)] = Field(1.0, description="Rate of the body, as a share; 0: fixed.")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="Also the first beta of AdamW.")
    second_beta: Annotated[float, Field(ge=0, lt=1)] = Field(0.99, description="Of AdamW.")
    decay: Annotated[float, Field(ge=0, le=1)] = Field(0.01, description="Weight decay.")


class ScheduleSettings(Section):
    """How the learning rate goes over the run."""

    kind: Literal["constant", "step", "cosine"] = Field(
        "cosine", description="step: a tenth at each of steps_at; cosine: falls from hold on."
    )
    warm_up: Share = Field(0.05, description="Share of the run in which the rate rises.")
    steps_at: tuple[Share, ...] = Field((8 / 12, 11 / 12), description="Shares of the run.")
    hold: Share = Field(0.5, description="Share of the run until which a cosine stays at the highest rate.")
    end: Share = Field(0.05, description="What a cosine ends at, a share of the highest rate.")


class RunSettings(Section):
    """How long, how much at once, and what is kept."""

    steps: Annotated[int, Field(ge=1)] | None = Field(None, description="Ends after so many steps.")
    budget: str | None = Field(None, description="Ends after this long, as 2h or 90m.")
    batch: Annotated[int, Field(ge=1, le=4096)] = Field(2, description="Pictures a step, of all processes together.")
    accumulate: Annotated[int, Field(ge=1)] = Field(1, description="A step is made of so many such batches.")
    clip_norm: Positive | None = Field(5.0, description="Longer gradients are cut to this; null: never.")
    average: Annotated[float, Field(ge=0, lt=1)] = Field(0.9995, description="Decay of the average of the weights.")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Of the forward pass; auto: bf16 where the processor or GPU computes in it, else fp32."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="All chance.")
    save_s: Positive = Field(240.0, description="A checkpoint is kept every so often.")


class ValidateSettings(Section):
    """How the network is scored on held-back pictures meanwhile."""

    every_s: Positive = Field(1200.0, description="Every so often, and at the end.")
    pictures: Annotated[int, Field(ge=1)] = Field(150, description="So many.")
    ap: bool = Field(False, description="Also find people, and say keypoint AP: several times as slow.")


class QuantizeSettings(Section):
    """Rounding-aware training: the weights that are learned also serve in 8 bits."""

    start: Share | None = Field(None, description="From this share of the run on; null: never.")
    passes: Share = Field(2 / 3, description="Share of passes in which inputs of layers are rounded, too.")


class TrainSettings(Section):
    """All settings of a training."""

    data: DataSettings = DataSettings()
    pictures: PictureSettings = PictureSettings()
    skeleton: SkeletonSettings = SkeletonSettings()
    init: InitSettings = InitSettings()
    losses: LossSettings = LossSettings()
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    run: RunSettings = RunSettings()
    validate_: ValidateSettings = Field(ValidateSettings(), alias="validate")
    quantize: QuantizeSettings = QuantizeSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> TrainSettings:
        if self.data.labels is None and self.data.drawn < 1:
            raise ValueError("no pictures: give --data with a COCO file or a YOLO-pose folder, or --drawn")
        if self.data.drawn and self.skeleton != SkeletonSettings():
            raise ValueError("data.drawn is above 0 with a skeleton of its own; drawn people have COCO's keypoints")
        if self.run.steps is None and self.run.budget is None:
            raise ValueError("the run has no end: give --budget or --steps")
        return self
