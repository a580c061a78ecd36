"""The presets of trainings, and what they become for the loop."""

from __future__ import annotations

import pytest
import torch

from configs.errors import ConfigError
from configs.load import load, load_as, presets
from configs.train import TrainSettings
from engines.train.session import recipe

CPU = torch.device("cpu")


def test_presets_of_trainings_and_of_pipelines_are_told_apart() -> None:
    assert presets(TrainSettings) == ["bottom_up", "train-coco", "train-drawn", "train-lite"]
    assert not set(presets()) & set(presets(TrainSettings))
    with pytest.raises(ConfigError, match=r"train-lite\.yaml: data is unknown"):
        load("train-lite")


def test_the_published_recipe_is_twelve_epochs() -> None:
    settings = load_as(TrainSettings, "train-coco", ["data.labels=labels.json"])
    published = recipe(settings, CPU)
    assert published.budget.steps == 12 * 64_115 // settings.run.batch
    assert [published.schedule.factor(epoch / 12) for epoch in (1, 7.9, 8.1, 11.1)] == pytest.approx([1, 1, 0.1, 0.01])
    assert (published.optim.kind, published.optim.rate, published.optim.decay) == ("sgd", 0.02, 1e-4)


def test_the_body_may_learn_at_a_rate_of_its_own() -> None:
    settings = load_as(TrainSettings, "train-lite", ["data.labels=labels.json"])
    assert recipe(settings, CPU).optim.rate_factors == {"network.backbone.body": 0.375}


def test_drawn_people_have_no_other_keypoints() -> None:
    with pytest.raises(ConfigError, match="drawn people have COCO's keypoints"):
        load_as(
            TrainSettings,
            "train-drawn",
            changes={
                "skeleton.names": ["a", "b"],
                "skeleton.sigmas": [0.1, 0.1],
                "skeleton.limbs": [],
                "skeleton.mirror": [],
            },
        )
