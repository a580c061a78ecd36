from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from engines.model.architecture import LITE, R50, Architecture
from engines.preprocess import batch_hw, scaled_hw, to_input

CPU = torch.device("cpu")


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("architecture", [LITE, R50], ids=["lite", "r50"])
@pytest.mark.parametrize("size", [(72, 128), (128, 72), (480, 640), (1080, 1920), (33, 1000), (7, 5)])
def test_pictures_are_scaled_as_torch_scales_normalised_floats(
    architecture: Architecture, size: tuple[int, int]
) -> None:
    frame = noise(*size)
    mean, std = (torch.tensor(x)[:, None, None] for x in (architecture.mean, architecture.std))
    whole = (torch.from_numpy(frame).permute(2, 0, 1).float() / 255 - mean) / std
    scale = min(architecture.short_px / min(size), architecture.long_px / max(size))
    slow = interpolate(
        whole[None], scale_factor=scale, mode="bilinear", align_corners=False, recompute_scale_factor=True
    )[0]
    batch = to_input([frame], architecture, CPU)
    _, h, w = slow.shape
    assert batch.sizes.tolist() == [[h, w]]
    torch.testing.assert_close(batch.images[0, :, :h, :w], slow, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(72, 128), (480, 641), (1080, 1920), (33, 1000), (7, 5)])
def test_in_whole_grey_levels_no_pixel_is_off_by_much_more_than_one(size: tuple[int, int]) -> None:
    frame = noise(*size)
    h, w = scaled_hw(*size, LITE)
    exact, levels = (to_input([frame], LITE, CPU, exact).images[0, :, :h, :w] for exact in (True, False))
    exact, levels = (exact + 1) * 127.5, (levels + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    off = (levels - exact).abs()
    assert off.max() < 1.2
    assert off.mean() < 0.4  # it rounds twice: along rows, then along columns


def test_pictures_of_several_sizes_share_a_batch_padded_with_zeros() -> None:
    frames = [noise(72, 128, 1), noise(128, 72, 2)]
    batch = to_input(frames, LITE, CPU)
    assert batch.images.shape == (2, 3, 576, 576)
    assert batch.sizes.tolist() == [[315, 560], [560, 315]]
    for image, frame, (h, w) in zip(batch.images, frames, batch.sizes.int().tolist(), strict=True):
        alone = to_input([frame], LITE, CPU).images[0]
        assert torch.equal(image[:, :h, :w], alone[:, :h, :w])
        assert image[:, h:].abs().sum() == 0
        assert image[:, :, w:].abs().sum() == 0


def test_coordinates_come_back_to_the_corner_of_the_frame() -> None:
    batch = to_input([noise(333, 500)], LITE, CPU)
    corner = batch.sizes[0].flip(0).numpy() * batch.to_source[0]
    np.testing.assert_allclose(corner, [500, 333], rtol=1e-6)


def test_a_frame_keeps_at_least_one_pixel_along_each_side() -> None:
    assert scaled_hw(1, 5000, LITE) == (1, 560)
    assert scaled_hw(1, 1, LITE) == (320, 320)


@pytest.mark.parametrize("writable", [False, True], ids=["read-only", "writable"])
@pytest.mark.parametrize("step", [1, -1], ids=["as it is", "mirrored"])
def test_read_only_and_mirrored_frames_are_taken_as_they_look(writable: bool, step: int) -> None:
    frame = noise(40, 60)
    frame.setflags(write=writable)
    looks = frame[:, ::step].copy()
    assert torch.equal(to_input([frame[:, ::step]], LITE, CPU).images, to_input([looks], LITE, CPU).images)


def test_sides_are_padded_to_multiples_of_32_and_no_further() -> None:
    assert batch_hw([(96, 31), (1, 33)]) == (96, 64)
    assert batch_hw([(1, 160), (65, 1)]) == (96, 160)
