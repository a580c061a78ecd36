from __future__ import annotations

import pytest

from configs.schema import EngineSettings
from engines.model.architecture import BOTTOM_UP, LITE, R50, Architecture
from engines.modes import plan


@pytest.mark.parametrize("architecture", [LITE, R50, BOTTOM_UP], ids=lambda each: each.name)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_exact_runs_a_network_as_it_was_made(architecture: Architecture, device: str) -> None:
    asked = plan(EngineSettings(), architecture, device)
    assert asked.architecture == architecture
    assert asked.limits == (0.05, architecture.people_max)
    assert asked.int8 == ()
    assert asked.exact


@pytest.mark.parametrize("architecture", [LITE, R50, BOTTOM_UP], ids=lambda each: each.name)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_fast_never_does_more_than_exact(architecture: Architecture, device: str) -> None:
    fast = plan(EngineSettings(mode="fast"), architecture, device)
    assert fast.architecture.short_px <= architecture.short_px
    assert fast.architecture.proposals <= architecture.proposals
    assert fast.limits.people_max < architecture.people_max
    assert fast.limits.score_min > 0.05
    assert not fast.exact


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_what_is_named_goes_before_the_mode(mode: str) -> None:
    settings = EngineSettings(mode=mode, imgsz=400, proposals=77, people_max=5, score_min=0.7)
    asked = plan(settings, R50, "cpu")
    assert (asked.architecture.short_px, asked.architecture.proposals) == (400, 77)
    assert asked.limits == (0.7, 5)


def test_the_limit_of_the_long_side_shrinks_with_the_short_one() -> None:
    assert plan(EngineSettings(imgsz=400), R50, "cpu").architecture.long_px == round(1333 / 2)


@pytest.mark.parametrize("score_min", [0.0, 0.1])
def test_a_low_score_that_is_named_holds_in_fast_too(score_min: float) -> None:
    assert plan(EngineSettings(mode="fast"), LITE, "cpu").limits.score_min == 0.3
    assert plan(EngineSettings(mode="fast", score_min=score_min), LITE, "cpu").limits.score_min == score_min


def test_fast_asks_a_bottom_up_network_for_no_part_that_it_lacks() -> None:
    assert plan(EngineSettings(mode="fast"), BOTTOM_UP, "cpu").int8 == ()
    assert plan(EngineSettings(grouping="tags"), BOTTOM_UP, "cpu").architecture.grouping == "tags"
