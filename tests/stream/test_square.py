"""The network is shown square pixels; what it finds lies where it lies in the source's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread

from configs.schema import EngineSettings, InferSettings
from engines.ops.people import People
from stream.infer import Infer
from stream.messages import Frame, Pixels, Poses
from stream.square import squared, unsquared


def column(height: int, width: int, at: int) -> np.ndarray:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, at] = 200
    return picture


def people(xy: tuple[float, float]) -> People:
    keypoints = np.full((1, 17, 2), xy, np.float32)
    one, many = np.ones(1, np.float32), np.ones((1, 17), np.float32)
    return People(np.array([[*xy, *xy]], np.float32), one, keypoints, many, many)


@pytest.mark.parametrize(
    ("aspect", "shape"), [((64, 45), (576, 1024)), ((16, 15), (576, 768)), ((8, 9), (648, 720)), ((1, 1), (576, 720))]
)
def test_a_squared_picture_has_the_size_that_players_show(aspect: tuple[int, int], shape: tuple[int, int]) -> None:
    assert squared(np.zeros((576, 720, 3), np.uint8), aspect).shape == (*shape, 3)


def test_square_pixels_are_left_alone() -> None:
    picture = column(8, 8, 3)
    assert squared(picture, (7, 7)) is picture


@pytest.mark.parametrize("at", [1, 5, 18])
@pytest.mark.parametrize("aspect", [(2, 1), (64, 45), (1, 3)])
def test_what_is_found_is_where_it_was(at: int, aspect: tuple[int, int]) -> None:
    """The middle of a bright column, by its weight, comes back to its own pixel's middle."""
    picture = column(20, 20, at) + column(20, 20, at).transpose(1, 0, 2)
    seen = squared(picture, aspect)[..., 0].astype(float)
    weights = seen.mean(0) - seen.mean(0).min(), seen.mean(1) - seen.mean(1).min()
    x, y = (float((weight * (np.arange(len(weight)) + 0.5)).sum() / weight.sum()) for weight in weights)
    found = unsquared(people((x, y)), aspect)
    assert found.keypoints[0, 3] == pytest.approx((at + 0.5, at + 0.5), abs=0.1)
    assert found.boxes[0] == pytest.approx([at + 0.5] * 4, abs=0.1)


def test_a_spread_shrinks_along_the_side_that_had_grown() -> None:
    found = replace(people((10, 10)), spread_px=np.full((1, 17, 2), 6, np.float32))
    spread_px = unsquared(found, (1, 3)).spread_px
    assert spread_px is not None
    assert spread_px[0, 0].tolist() == [6, 2]


def test_a_picture_of_one_pixel_can_be_squared() -> None:
    assert (squared(np.full((1, 1, 3), 9, np.uint8), (4, 1)) == 9).all()


def test_the_network_sees_square_pixels_and_people_lie_in_the_frame_s_own() -> None:
    portrait = np.asarray(imread(get_sample_data("grace_hopper.jpg", asfileobj=False)))
    narrow, wide = portrait[::2, ::4], squared(portrait[::2, ::4], (2, 1))
    odd = Frame("a", 0, 0, 0, 0, 0, narrow.shape[1], narrow.shape[0], Pixels(narrow), pixel_aspect=(2, 1))
    even = Frame("a", 0, 1, 0, 0, 0, wide.shape[1], wide.shape[0], Pixels(wide))
    stage = Infer(EngineSettings(model="lite", backend="eager", imgsz=128), InferSettings(batch_max=1), 8)
    (seen_odd,), (seen_even,) = stage.process(odd), stage.process(even)
    assert isinstance(seen_odd, Poses)
    assert isinstance(seen_even, Poses)
    assert len(seen_odd.people) > 0
    np.testing.assert_allclose(seen_odd.people.boxes * [2, 1, 2, 1], seen_even.people.boxes, atol=1e-3)
    np.testing.assert_allclose(seen_odd.people.keypoints * [2, 1], seen_even.people.keypoints, atol=1e-3)
