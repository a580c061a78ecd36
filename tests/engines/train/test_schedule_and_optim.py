"""Rates over a run, groups of parameters, the average of weights, budgets and progress."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.train.budget import Budget, duration, line, seconds
from engines.train.optim import Average, Optim, optimizer, set_rate
from engines.train.schedule import Schedule


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"body": nn.Linear(3, 3), "head": nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))})


def test_a_cosine_rises_holds_and_falls() -> None:
    schedule = Schedule(kind="cosine", warm_up=0.1, hold=0.5, end=0.05)
    at = [schedule.factor(done) for done in (0, 0.05, 0.1, 0.5, 0.75, 1)]
    assert at == pytest.approx([0.01, 0.505, 1, 1, 0.525, 0.05])


def test_steps_divide_by_ten() -> None:
    schedule = Schedule(kind="step", warm_up=0, steps_at=(0.6, 0.8))
    assert [schedule.factor(done) for done in (0, 0.59, 0.6, 0.9)] == pytest.approx([1, 1, 0.1, 0.01])


def test_a_constant_stays_and_a_run_that_is_over_has_the_last_rate() -> None:
    assert Schedule(kind="constant", warm_up=0).factor(0.99) == 1
    assert Schedule(kind="cosine").factor(1.7) == Schedule(kind="cosine").factor(1.0)


def test_settings_say_what_is_wrong() -> None:
    assert Schedule(warm_up=2, steps_at=(0.9, 0.8)).problems() == [
        "warm_up is 2; it must lie in 0..1",
        "steps_at is (0.9, 0.8); expected rising shares within 0..1",
    ]
    assert Optim(rate=0, momentum=1, decay=-1).problems() == [
        "rate is 0; it must be above 0",
        "momentum is 1; it must be at least 0 and below 1",
        "decay is -1; it must be at least 0",
    ]
    assert Schedule().problems() + Optim().problems() == []


@pytest.mark.parametrize("kind", ["sgd", "adamw", "rmsprop"])
def test_each_part_has_its_rate_and_only_matrices_decay(kind: str) -> None:
    of = network()
    how = Optim(kind=kind, rate=1.0, decay=0.1, rate_factors={"body": 0.25, "body.bias": 0})  # type: ignore[arg-type]
    found = optimizer(of, how)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in found.param_groups for p in g["params"]}
    named = {name: rates.get(id(parameter)) for name, parameter in of.named_parameters()}
    assert named["body.weight"] == (0.25, 0.1)
    assert named["body.bias"] is None
    assert (named["head.0.weight"], named["head.0.bias"], named["head.1.weight"]) == ((1, 0.1), (1, 0), (1, 0))
    set_rate(found, 0.5)
    assert {group["lr"] for group in found.param_groups} == {0.125, 0.5}
    set_rate(found, 1.0)
    assert {group["lr"] for group in found.param_groups} == {0.25, 1.0}


def test_a_rate_for_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="rate_factors names backbone, which no parameter begins with"):
        optimizer(network(), Optim(rate_factors={"backbone": 0.5}))


def test_the_average_is_that_of_the_formula() -> None:
    of = nn.Linear(1, 1, bias=False)
    nn.init.constant_(of.weight, 0)
    average, slow = Average(of, 0.5), 0.0
    for number in range(1, 8):
        nn.init.constant_(of.weight, number)
        average.update(of)
        decay = min(0.5, (1 + number) / (10 + number))
        slow = decay * slow + (1 - decay) * number
    assert average.weights["weight"].item() == pytest.approx(slow, rel=1e-6)


def test_the_network_has_the_average_for_a_while_only() -> None:
    of = network()
    average = Average(of, 0.9)
    nn.init.constant_(of["body"].weight, 7)  # type: ignore[index]
    before = average.weights["body.weight"].clone()
    with average.in_place(of):
        assert torch.equal(of["body"].weight, before)  # type: ignore[index]
    assert (of["body"].weight == 7).all()  # type: ignore[index]
    assert torch.equal(average.weights["body.weight"], before)


@pytest.mark.parametrize(
    ("text", "wanted"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1.5H", 5400), ("1d", 86400)]
)
def test_durations_are_read(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "2", "h", "-1h", "0s", "30m2h", "2 hours"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=f"got '{text}', expected a duration such as 2h, 90m or 1h30m"):
        seconds(text)


@pytest.mark.parametrize(
    ("of_s", "text"), [(12, "12s"), (59.6, "1m 00s"), (200, "3m 20s"), (3599.6, "1h 00m"), (3900, "1h 05m")]
)
def test_durations_are_written(of_s: float, text: str) -> None:
    assert duration(of_s) == text


def test_a_run_ends_by_what_comes_first() -> None:
    budget = Budget(steps=100, duration_s=50)
    assert (budget.done(10, 10), budget.done(60, 10), budget.done(500, 0)) == (0.2, 0.6, 1)
    assert Budget(steps=0).done(0, 0) == 1
    with pytest.raises(ValueError, match="a run needs an end: give steps, a duration, or both"):
        Budget()


def test_progress_says_what_is_left() -> None:
    text = line(50, 0.25, 100.0, 12.34, {"boxes": 0.5, "keypoints": 2.0})
    assert text == "step 50  25.0 %  5m 00s left  12.3 samples/s  loss 2.5 (boxes 0.5 keypoints 2)"
    assert "? left" in line(0, 0, 0, 0, {})
