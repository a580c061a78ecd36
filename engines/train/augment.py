"""What may be done to a picture and its labels alike: pure functions of a sample; chance is a generator handed in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.train import pictures
from engines.train.target import Matrix, Sample

_GREY = (124, 116, 104)
"""ImageNet's mean colour, for what a picture does not reach."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def mirrored(sample: Sample, mirror: Sequence[int]) -> Sample:
    """The sample seen in a mirror; `mirror` says of each keypoint which one takes its place."""
    return Sample(np.ascontiguousarray(sample.pixels[:, ::-1]), sample.target.mirrored(mirror))


def resized(sample: Sample, size_hw: tuple[int, int]) -> Sample:
    """The sample stretched to another size."""
    return Sample(pictures.resized(sample.pixels, size_hw), sample.target.scaled(size_hw))


def cropped(sample: Sample, x_px: int, y_px: int, size_hw: tuple[int, int]) -> Sample:
    """The part of a sample whose top left pixel is x_px, y_px; both may lie outside of it, where all is grey."""
    height, width = size_hw
    target = sample.target.shifted(-x_px, -y_px, size_hw).clipped()
    old_h, old_w = sample.pixels.shape[:2]
    if x_px >= 0 and y_px >= 0 and x_px + width <= old_w and y_px + height <= old_h:
        return Sample(sample.pixels[y_px : y_px + height, x_px : x_px + width], target)  # no copy
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = _GREY
    x0, y0, x1, y1 = max(x_px, 0), max(y_px, 0), min(x_px + width, old_w), min(y_px + height, old_h)
    if x1 > x0 and y1 > y0:
        pixels[y0 - y_px : y1 - y_px, x0 - x_px : x1 - x_px] = sample.pixels[y0:y1, x0:x1]
    return Sample(pixels, target)


def transformed(sample: Sample, matrix: Matrix, size_hw: tuple[int, int]) -> Sample:
    """The sample under an affine map (2, 3) into a frame of another size; nothing outside is kept."""
    pixels = pictures.warped(sample.pixels, matrix, size_hw, _GREY)
    return Sample(pixels, sample.target.mapped(matrix, size_hw).clipped())


def turning(degrees: float, scale: float, shift_px: tuple[float, float], size_hw: tuple[int, int]) -> Matrix:
    """The affine map (2, 3) that turns clockwise and scales about the middle of a picture, and then shifts it."""
    height, width = size_hw
    cos, sin = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    linear = np.array([[cos, -sin], [sin, cos]])
    middle = np.array([width / 2, height / 2])
    return np.column_stack((linear, middle + shift_px - linear @ middle))


def coloured(
    sample: Sample, *, brightness: float = 0.0, contrast: float = 1.0, saturation: float = 1.0, hue: float = 0.0
) -> Sample:
    """The sample in another light.

    Args:
        sample: picture and labels; the labels stay.
        brightness: added, as a share of white; 0 changes nothing.
        contrast: how far each value keeps from the mean grey; 1 changes nothing.
        saturation: how far each colour keeps from its grey; 1 changes nothing, 0 makes a grey picture.
        hue: turn of the colours about the grey axis, in turns: 1/3 makes red green.
    """
    grey = float((sample.pixels.reshape(-1, 3).mean(0) @ _LUMA).item())
    # All steps are linear, so they are one matrix and one shift, applied once.
    colours = contrast * (saturation * _hue_turned(hue) + (1 - saturation) * np.tile(_LUMA, (3, 1)))
    shift = (1 - contrast) * grey + 255 * brightness
    values = sample.pixels.reshape(-1, 3).astype(np.float32) @ colours.T.astype(np.float32) + np.float32(shift)
    pixels = np.clip(values + 0.5, 0, 255).astype(np.uint8).reshape(sample.pixels.shape)
    return Sample(pixels, sample.target)


def blurred(sample: Sample, sigma_px: float) -> Sample:
    """The sample out of focus."""
    return Sample(pictures.blurred(sample.pixels, sigma_px), sample.target)


def noisy(sample: Sample, deviation: float, rng: np.random.Generator) -> Sample:
    """The sample with Gaussian noise of a deviation in grey levels, 0..255."""
    noise = rng.standard_normal(sample.pixels.shape, np.float32) * np.float32(deviation)
    pixels = np.clip(sample.pixels + noise + 0.5, 0, 255).astype(np.uint8)
    return Sample(pixels, sample.target)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far chance may go; 0 (or a range of one value) switches a kind off."""

    mirror_share: float = 0.5
    """How many samples are mirrored, 0..1."""
    rotation_deg: float = 0.0
    """Turned by at most this, either way."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Least and most; drawn evenly in its logarithm."""
    shift: float = 0.0
    """Moved by at most this share of width and height, either way."""
    brightness: float = 0.15
    contrast: float = 0.25
    saturation: float = 0.35
    hue: float = 0.03
    """Each drawn evenly up to this, either way: see `coloured`."""
    blur_px: float = 0.0
    """Deviation at most; one sample in five is blurred."""
    noise: float = 0.0
    """Deviation at most, in grey levels; one sample in five has noise."""


_ONE_OF_FIVE = 0.2


def augmented(sample: Sample, how: Augmentation, mirror: Sequence[int], rng: np.random.Generator) -> Sample:
    """A sample of the same size, changed by chance."""
    if rng.random() < how.mirror_share:
        sample = mirrored(sample, mirror)
    if how.rotation_deg or how.shift or how.scale != (1.0, 1.0):
        height, width = size_hw = sample.target.size_hw
        scale = math.exp(rng.uniform(math.log(how.scale[0]), math.log(how.scale[1])))
        shift = rng.uniform(-how.shift, how.shift, 2) * (width, height)
        degrees = rng.uniform(-how.rotation_deg, how.rotation_deg)
        sample = transformed(sample, turning(degrees, scale, (shift[0], shift[1]), size_hw), size_hw)
    sample = coloured(
        sample,
        brightness=rng.uniform(-how.brightness, how.brightness),
        contrast=1 + rng.uniform(-how.contrast, how.contrast),
        saturation=1 + rng.uniform(-how.saturation, how.saturation),
        hue=rng.uniform(-how.hue, how.hue),
    )
    if how.blur_px and rng.random() < _ONE_OF_FIVE:
        sample = blurred(sample, rng.uniform(0, how.blur_px))
    if how.noise and rng.random() < _ONE_OF_FIVE:
        sample = noisy(sample, rng.uniform(0, how.noise), rng)
    return sample


def short_sides_px(least_px: int, most_px: int, multiple: int = 32) -> tuple[int, ...]:
    """The sizes of a multi-scale training: multiples from least_px through most_px."""
    return tuple(range(-(-least_px // multiple) * multiple, most_px + 1, multiple))


def _hue_turned(turns: float) -> Matrix:
    """(3, 3) rotation of the colours about grey. Source: Rodrigues' formula about (1, 1, 1)."""
    cos, sin = math.cos(2 * math.pi * turns), math.sin(2 * math.pi * turns)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return cos * np.eye(3) + sin * cross + (1 - cos) / 3 * np.ones((3, 3))
