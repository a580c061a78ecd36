"""Packed canvases: whole crops, none over another, and more people a pixel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_people import K, centre_of_light, one_spot

from engines.ops import skeleton
from engines.train.canvas import Packing, Room, around_somebody, packed, people_share
from engines.train.target import Sample

MIRROR = skeleton.COCO.mirror

SIZE = (240, 320)


def draw() -> Sample:
    return one_spot(150, 110, SIZE)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_laid_down_overlaps_or_sticks_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    room, placed = Room(300, 200), []
    for height, width in rng.integers(5, 120, (60, 2)).tolist():
        if place := room.place((height, width)):
            placed.append((*place, place[0] + width, place[1] + height))
    assert len(placed) > 5
    assert all(x2 <= 300 and y2 <= 200 for _, _, x2, y2 in placed)
    for a, b in itertools.combinations(placed, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_room_is_found_until_there_is_none() -> None:
    room = Room(100, 100)
    places = [room.place((25, 50)) for _ in range(8)]
    assert len({*places, None}) == 9
    assert room.place((1, 1)) is None


def test_a_gap_between_things_is_found() -> None:
    room = Room(100, 100)
    assert room.place((100, 40)) == (0, 0)
    assert room.place((30, 60)) == (40, 0)
    assert room.place((71, 10)) is None
    assert room.place((70, 60)) == (40, 30)


def test_a_crop_has_its_person_at_the_height_asked_for() -> None:
    how = Packing(height_px=(30.0, 30.0), labelled_min=1)
    part = around_somebody(draw(), how, np.random.default_rng(0))
    assert part is not None
    crop = part.cut_out()
    assert crop.target.size_hw == part.size_hw
    assert crop.target.boxes[0, 3] - crop.target.boxes[0, 1] == pytest.approx(30, abs=1)
    assert centre_of_light(crop.pixels) == pytest.approx(crop.target.keypoints[0, 0], abs=0.3)


def test_nobody_fit_to_be_shown_makes_no_crop() -> None:
    assert around_somebody(draw(), Packing(labelled_min=2), np.random.default_rng(0)) is None


def test_a_canvas_holds_many_people_with_their_labels() -> None:
    how = Packing(size_hw=(160, 224), height_px=(30.0, 60.0), labelled_min=1)
    canvas = packed(draw, how, np.random.default_rng(0), MIRROR, K)
    assert canvas.pixels.shape == (160, 224, 3)
    assert len(canvas.target) >= 8
    assert canvas.target.size_hw == (160, 224)
    for point, seen in zip(canvas.target.keypoints, canvas.target.visibility, strict=True):
        x, y = point[seen > 0][0].astype(int)
        assert canvas.pixels[y, x].mean() > 200


def test_a_canvas_shows_more_people_a_pixel_than_its_pictures() -> None:
    plain, inside = people_share(draw())
    canvas = packed(draw, Packing(height_px=(30.0, 60.0), labelled_min=1), np.random.default_rng(0), MIRROR, K)
    assert plain == pytest.approx(1 / (240 * 320 / 1e6))
    assert inside == pytest.approx(24 * 40 / (240 * 320))
    assert people_share(canvas)[0] > 5 * plain
    assert people_share(canvas)[1] > 10 * inside
