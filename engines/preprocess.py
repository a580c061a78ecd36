"""Frames to the network's input, and its coordinates back to the frames'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.model.architecture import Architecture
from engines.model.transfer import to_device

_STRIDE_MAX = 32
"""Sides of the network's input are multiples of this many pixels."""


@dataclass(frozen=True)
class Batch:
    """Frames as the network wants them."""

    images: Tensor
    """(B, 3, H, W) normalised, its memory channels last; zeros right of and below each picture."""
    sizes: Tensor
    """(B, 2) height and width of each picture in it."""
    to_source: NDArray[np.float32]
    """(B, 2) what x and y of the input are multiplied with to give pixels of the frame."""


def to_input(
    frames: Sequence[NDArray[np.uint8]], architecture: Architecture, device: torch.device, exact: bool = True
) -> Batch:
    """Scale frames (H, W, 3) of any sizes, RGB, and put them into one batch.

    As torchvision's GeneralizedRCNNTransform does: bilinear between pixel centres, not smoothed before.

    Args:
        frames: the frames.
        architecture: says how large they are to be, and how normalised.
        device: where they are wanted.
        exact: False: a CPU scales them to whole grey levels, in half the time.
    """
    sizes = [scaled_hw(frame.shape[0], frame.shape[1], architecture) for frame in frames]
    h, w = batch_hw(sizes)
    images = torch.empty((len(frames), h, w, 3), device=device)
    mean, std = (torch.tensor(x) for x in (architecture.mean, architecture.std))
    in_levels = device.type == "cpu" and not exact
    for image, frame, (height, width) in zip(images, frames, sizes, strict=True):
        # Pixel by pixel, as it lies in memory: in one thread four times as fast as plane by plane.
        pixels = _frame_to(device, frame)[None].permute(0, 3, 1, 2)
        scaled = functional.interpolate(
            pixels if in_levels else pixels.float(), (height, width), mode="bilinear", align_corners=False
        )
        image[height:], image[:height, width:] = 0, 0
        # (x / 255 - mean) / std, a row of pixels at once: three numbers a pixel are too few to be quick.
        factor, start = (to_device(x.repeat(width), device) for x in (1 / (255 * std), -mean / std))
        rows = image[:height].view(height, 3 * w)[:, : 3 * width]
        rows.copy_(scaled[0].permute(1, 2, 0).reshape(height, 3 * width))
        torch.addcmul(start, rows, factor, out=rows)
    back = [
        (frame.shape[1] / width, frame.shape[0] / height) for frame, (height, width) in zip(frames, sizes, strict=True)
    ]
    known = to_device(torch.tensor(sizes, dtype=torch.float32), device)
    return Batch(images.permute(0, 3, 1, 2), known, np.array(back, np.float32))


def scaled_hw(height: int, width: int, architecture: Architecture) -> tuple[int, int]:
    """Height and width of a frame in the network's input: at least 1, and as torchvision rounds them."""
    scale = min(architecture.short_px / min(height, width), architecture.long_px / max(height, width))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def batch_hw(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width of the network's input for pictures that `scaled_hw` scaled to these sizes."""
    height, width = (_STRIDE_MAX * math.ceil(max(side) / _STRIDE_MAX) for side in zip(*sizes, strict=True))
    return height, width


def _frame_to(device: torch.device, frame: NDArray[np.uint8]) -> Tensor:
    if device.type != "cuda":
        # Copied where it must be: torch takes no read-only frame, and none whose rows or pixels are not in order.
        return torch.from_numpy(np.require(frame, requirements=["C", "W"])).to(device)
    host = torch.empty(frame.shape, dtype=torch.uint8, pin_memory=True)
    np.copyto(host.numpy(), frame)
    return host.to(device, non_blocking=True)
