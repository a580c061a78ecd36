"""Whatever is done to a picture is done to its labels: white spots stay where their keypoints are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_people import K, centre_of_light, one_spot, people, spots

from engines.ops import skeleton
from engines.train import augment, pictures
from engines.train.augment import Augmentation
from engines.train.occlude import outline, pasted
from engines.train.target import Sample

MIRROR = skeleton.COCO.mirror

SIZE = (120, 200)
MOVES: dict[str, Callable[[Sample], Sample]] = {
    "mirror": lambda s: augment.mirrored(s, MIRROR),
    "larger": lambda s: augment.resized(s, (300, 440)),
    "smaller": lambda s: augment.resized(s, (60, 100)),
    "crop": lambda s: augment.cropped(s, 13, 7, (100, 150)),
    "crop beyond the edge": lambda s: augment.cropped(s, -20, -31, (160, 260)),
    "turn": lambda s: augment.transformed(s, augment.turning(33, 1.2, (5, -8), SIZE), SIZE),
    "turn and shrink": lambda s: augment.transformed(s, augment.turning(-70, 0.45, (3, 4), SIZE), SIZE),
    "shear": lambda s: augment.transformed(s, np.array([[1, 0.3, -10], [-0.1, 0.9, 12]]), (140, 220)),
}


@pytest.mark.parametrize("move", MOVES)
def test_the_spot_stays_under_its_keypoint(move: str) -> None:
    before = one_spot(90, 70, SIZE)
    after = MOVES[move](before)
    assert after.pixels.shape == (*after.target.size_hw, 3)
    (where,) = np.argwhere(after.target.visibility[0] > 0)
    assert centre_of_light(after.pixels) == pytest.approx(after.target.keypoints[0, where[0]], abs=0.12)


def test_a_mirror_twice_is_the_same_picture() -> None:
    sample = spots(people(1))
    twice = augment.mirrored(augment.mirrored(sample, MIRROR), MIRROR)
    assert np.array_equal(twice.pixels, sample.pixels)


def test_a_turn_and_its_inverse_bring_the_labels_back() -> None:
    sample = one_spot(95, 64, SIZE)
    there = augment.turning(25, 1.1, (4, 2), SIZE)
    back = np.linalg.inv(np.vstack((there, (0, 0, 1))))[:2]
    again = augment.transformed(augment.transformed(sample, there, SIZE), back, SIZE)
    assert again.target.keypoints[0, 0] == pytest.approx(sample.target.keypoints[0, 0], abs=1e-3)
    assert np.abs(again.pixels[40:90, 60:130].astype(int) - sample.pixels[40:90, 60:130]).mean() < 3


def test_an_identity_map_changes_no_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    same = pictures.warped(pixels, augment.turning(0, 1, (0, 0), SIZE), SIZE, (0, 0, 0))
    assert np.array_equal(same, pixels)


def test_fine_stripes_become_grey_when_they_shrink() -> None:
    stripes = np.zeros((*SIZE, 3), np.uint8)
    stripes[:, ::2] = 200
    small = pictures.warped(stripes, augment.turning(0, 0.3, (0, 0), SIZE), SIZE, (100, 100, 100))
    assert np.abs(small[50:70, 80:120].astype(int) - 100).max() < 20


def test_a_crop_shows_the_pixels_it_says() -> None:
    sample = spots(people(2))
    crop = augment.cropped(sample, 30, -10, (50, 60))
    assert np.array_equal(crop.pixels[10:], sample.pixels[:40, 30:90])
    assert (crop.pixels[:10] == (124, 116, 104)).all()


def test_light_unchanged_is_unchanged() -> None:
    sample = Sample(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8), people(0))
    assert np.array_equal(augment.coloured(sample).pixels, sample.pixels)


def test_each_kind_of_light_does_what_it_says() -> None:
    red = Sample(np.full((4, 4, 3), (200, 50, 50), np.uint8), people(0))
    assert augment.coloured(red, brightness=0.1).pixels[0, 0].tolist() == [226, 76, 76]
    assert np.ptp(augment.coloured(red, saturation=0).pixels) == 0
    assert augment.coloured(red, hue=1 / 3).pixels[0, 0].tolist() == [50, 200, 50]
    assert np.ptp(augment.coloured(red, contrast=0.5).pixels) == pytest.approx(np.ptp(red.pixels) / 2, abs=1)


def test_blur_keeps_the_light_and_spreads_it() -> None:
    sample = one_spot(90, 70, SIZE)
    soft = augment.blurred(sample, 3)
    assert soft.pixels.mean() == pytest.approx(sample.pixels.mean(), abs=0.5)
    assert soft.pixels.max() < 200


def test_noise_has_the_deviation_asked_for() -> None:
    grey = Sample(np.full((200, 200, 3), 128, np.uint8), people(0))
    noise = augment.noisy(grey, 12, np.random.default_rng(0)).pixels.astype(float) - 128
    assert (noise.mean(), noise.std()) == (pytest.approx(0, abs=0.2), pytest.approx(12, rel=0.02))


def test_chance_is_the_generator_s_alone() -> None:
    how = Augmentation(rotation_deg=30, scale=(0.7, 1.4), shift=0.1, blur_px=2, noise=10)
    first, again, other = (
        augment.augmented(spots(people(3)), how, MIRROR, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.target.keypoints, again.target.keypoints)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("seed", range(5))
def test_by_chance_the_spot_stays_under_its_keypoint_too(seed: int) -> None:
    how = Augmentation(rotation_deg=30, scale=(0.7, 1.4), shift=0.1, saturation=0, hue=0, brightness=0, contrast=0)
    after = augment.augmented(one_spot(90, 70, SIZE), how, MIRROR, np.random.default_rng(seed))
    assert centre_of_light(after.pixels) == pytest.approx(after.target.keypoints[0, 0], abs=0.15)


def test_sizes_of_multi_scale_training_are_multiples() -> None:
    assert augment.short_sides_px(224, 400) == (224, 256, 288, 320, 352, 384)
    assert augment.short_sides_px(225, 256) == (256,)


def test_who_is_pasted_covers_those_behind() -> None:
    behind, front = one_spot(90, 70, SIZE), one_spot(60, 60, SIZE)
    both = pasted(behind, front, 0, (78, 50), skeleton.COCO.limbs)
    assert len(both.target) == 2
    assert both.target.keypoints[1, 0].tolist() == [90.5, 70.5]
    assert both.target.visibility[:, 0].tolist() == [1, 2]
    aside = pasted(behind, front, 0, (10, 50), skeleton.COCO.limbs)
    assert aside.target.visibility[:, 0].tolist() == [2, 2]
    assert aside.pixels[70, 22].tolist() == [255, 255, 255]
    assert np.array_equal(aside.pixels[:, 60:], behind.pixels[:, 60:])


def test_who_is_pasted_beyond_the_edge_is_cut() -> None:
    both = pasted(one_spot(90, 70, SIZE), one_spot(60, 60, SIZE), 0, (190, 110), skeleton.COCO.limbs)
    assert both.pixels.shape == (*SIZE, 3)
    assert both.target.boxes[1].tolist() == [190, 110, 200, 120]
    assert both.target.labelled.tolist() == [1, 0]


def test_an_outline_runs_along_the_limbs_and_stays_in_the_box() -> None:
    target = people(4, 1)
    ankle, knee = skeleton.COCO.limbs[0]
    seen = np.zeros((1, K), np.int8)
    seen[0, [ankle, knee]] = 2
    mask = outline(type(target)(**{**vars(target), "visibility": seen}), 0, skeleton.COCO.limbs)
    middle = target.keypoints[0, [ankle, knee]].mean(0).astype(int)
    assert mask[middle[1], middle[0]]
    ys, xs = np.nonzero(mask)
    x1, y1, x2, y2 = target.boxes[0]
    assert (xs.min() >= int(x1), ys.min() >= int(y1), xs.max() < x2, ys.max() < y2) == (True, True, True, True)
    assert mask.sum() < 0.9 * (x2 - x1) * (y2 - y1)
