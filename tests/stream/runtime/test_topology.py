"""What the settings of one stage mean for another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread

from configs.load import load, resolve
from stream.messages import Frame, Pixels
from stream.pipeline import Pipeline

PORTRAIT = np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))[::2, ::2]


def scores(mode: str, **changes: Any) -> list[float]:
    """What the people of the portrait are scored, all that the tracker is given."""
    engine = {"engine.mode": mode, "engine.model": "lite", "engine.backend": "eager", "engine.imgsz": 128}
    named = {name.replace("_", ".", 1): value for name, value in changes.items()}
    settings = resolve(load(None, (), {**engine, "engine.people_max": 20, "infer.batch_max": 1, **named}))
    stage = Pipeline().stage("infer", settings)
    height, width, _ = PORTRAIT.shape
    (poses,) = stage.process(Frame("a", 0, 0, 0, 0, 0, width, height, Pixels(PORTRAIT)))
    stage.close()
    return sorted(poses.people.scores.tolist())


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_people_are_sought_down_to_the_score_that_the_tracker_looks_at(mode: str) -> None:
    low = scores(mode, track_score_low=0.01)
    assert 0.01 < low[0] < 0.05
    assert scores(mode) == [score for score in low if score > 0.3]
    assert scores(mode, track_score_low=0.01, engine_score_min=0.02) == [score for score in low if score > 0.02] != low
