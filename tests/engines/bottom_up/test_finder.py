"""From a network's maps to people."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.special import logit

from engines.bottom_up.finder import BottomUpFinder
from engines.model.architecture import BOTTOM_UP
from engines.model.found import Found
from engines.model.parts import Parts
from engines.model.roi import Limits
from tests.engines.bottom_up.true_maps import Crowd, crowd, maps

EVERYBODY = Limits(score_min=0.0, people_max=100)
GROUPINGS: tuple[Literal["tags", "paf"], ...] = ("tags", "paf")


def found(
    pictures: list[Crowd], grouping: Literal["tags", "paf"] = "paf", limits: Limits = EVERYBODY, trimmed: int = 0
) -> Found:
    """What is found where the network gives these maps; so many pixels to the right are padding."""

    def run(images: torch.Tensor) -> list[torch.Tensor]:
        heat = np.stack([logit(np.clip(picture.heat, 1e-4, 1 - 1e-4)) for picture in pictures])
        rest = (np.stack([picture.tags for picture in pictures]), np.stack([picture.fields for picture in pictures]))
        return [torch.from_numpy(np.asarray(part, np.float32)) for part in (heat, *rest)]

    h, w = pictures[0].heat.shape[1:]
    finder = BottomUpFinder(
        Parts(run={"maps": run}, device=torch.device("cpu")), replace(BOTTOM_UP, grouping=grouping), limits
    )
    sizes = torch.tensor([[4 * h, 4 * w - trimmed]] * len(pictures))
    return finder.find(torch.zeros(len(pictures), 3, 4 * h, 4 * w), sizes)


def errors_px(people: torch.Tensor, truth: np.ndarray) -> np.ndarray:
    """(N, K) how far each person's keypoints are from those of whoever of the found ones is nearest."""
    off: np.ndarray = np.linalg.norm(people.numpy()[None] - (truth[:, None] + 0.5) * 4, axis=-1)
    nearest: np.ndarray = off[np.arange(len(truth)), off.mean(-1).argmin(1)]
    return nearest


@pytest.mark.parametrize("grouping", GROUPINGS)
def test_a_crowd_is_found_where_it_is(grouping: Literal["tags", "paf"]) -> None:
    pictures = [crowd(seed, columns=5, rows=3, cells=20, tall=17) for seed in (1, 2)]
    people = found(pictures, grouping)
    assert people.image.tolist() == [0] * 15 + [1] * 15
    for at, picture in enumerate(pictures):
        assert errors_px(people.keypoints[people.image == at], picture.xy).max() < 0.5
    low, high = people.keypoints.amin(1), people.keypoints.amax(1)
    assert ((people.boxes[:, :2] < low) & (people.boxes[:, 2:] > high)).all()
    assert ((people.scores > 0.85) & (people.scores <= 1)).all()


def test_a_keypoint_that_is_hardly_seen_is_looked_for_around_its_person() -> None:
    one = crowd(seed=1, columns=1, rows=1, cells=30, tall=28)
    heat = one.heat.copy()
    heat[9] *= 0.2
    people = found([one._replace(heat=heat)])
    assert errors_px(people.keypoints, one.xy)[0, 9] < 3  # in the right cell, of four pixels
    assert people.confidence[0, 9] == pytest.approx(0.2, abs=0.04)
    assert people.scores[0] < found([one]).scores[0]


def test_best_come_first_and_no_more_than_wanted() -> None:
    picture = crowd(seed=2, columns=4, rows=1, cells=30, tall=25)
    heat = picture.heat * np.linspace(1, 0.5, picture.heat.shape[2], dtype=np.float32)
    faded = picture._replace(heat=heat)
    everybody = found([faded])
    assert everybody.keypoints[:, :, 0].mean(1).argsort().tolist() == [0, 1, 2, 3]
    assert torch.equal(found([faded], limits=Limits(0.0, 2)).keypoints, everybody.keypoints[:2])
    middle = float(everybody.scores[1:3].mean())
    assert torch.equal(found([faded], limits=Limits(middle, 100)).keypoints, everybody.keypoints[:2])


def test_two_keypoints_make_nobody_and_three_do() -> None:
    xy = np.array([[[4 + 3 * k, 5 + 2 * (k % 3)] for k in range(17)]], np.float32)
    for count in (2, 3):
        known = np.zeros((1, 17), bool)
        known[0, [5, 6, 12][:count]] = True
        assert len(found([maps(xy, known, (20, 64))]).scores) == (count == 3)


def test_nothing_is_found_in_the_padding() -> None:
    picture = crowd(seed=2, columns=2, rows=1, cells=30, tall=25)
    right = int(picture.xy[1, :, 0].min())
    trimmed = 4 * (picture.heat.shape[2] - right)
    people = found([picture], trimmed=trimmed)
    assert len(people.scores) == 1
    assert people.keypoints[..., 0].max() <= 4 * right


@pytest.mark.parametrize("part", ["heat", "tags", "fields"])
def test_a_picture_without_finite_maps_shows_nobody_and_spoils_no_other(part: str) -> None:
    good, broken = (crowd(seed, columns=2, rows=1, cells=30, tall=25) for seed in (1, 2))
    bad = getattr(broken, part).copy()
    bad[3, 4, 5] = np.nan
    broken = broken._replace(**{part: bad})
    people = found([good, broken])
    assert (people.image.tolist(), people.dropped) == ([0, 0], 1)
    assert torch.equal(people.keypoints, found([good]).keypoints)


def test_an_empty_picture_shows_nobody() -> None:
    empty = maps(np.zeros((0, 17, 2), np.float32), np.zeros((0, 17), bool), (16, 16))
    people = found([empty])
    assert (people.keypoints.shape, people.boxes.shape, people.logits.shape) == ((0, 17, 2), (0, 4), (0, 17))
