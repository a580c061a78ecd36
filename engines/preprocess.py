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
    """(B, 3, H, W) normalised; zeros right of and below each picture."""
    sizes: Tensor
    """(B, 2) height and width of each picture in it."""
    to_source: NDArray[np.float32]
    """(B, 2) what x and y of the input are multiplied with to give pixels of the frame."""


def to_input(frames: Sequence[NDArray[np.uint8]], architecture: Architecture, device: torch.device) -> Batch:
    """Scale frames (H, W, 3) of any sizes, RGB, and put them into one batch.

    As torchvision's GeneralizedRCNNTransform does: bilinear between pixel centres, not smoothed before.
    """
    sizes = [scaled_hw(frame.shape[0], frame.shape[1], architecture) for frame in frames]
    h, w = (_STRIDE_MAX * math.ceil(max(side) / _STRIDE_MAX) for side in zip(*sizes, strict=True))
    images = torch.zeros((len(frames), 3, h, w), device=device)
    mean, std = (to_device(torch.tensor(x), device)[:, None, None] for x in (architecture.mean, architecture.std))
    for image, frame, (height, width) in zip(images, frames, sizes, strict=True):
        # Pixel by pixel, as it lies in memory: in one thread four times as fast as plane by plane.
        pixels = _frame_to(device, frame)[None].permute(0, 3, 1, 2).float()
        scaled = functional.interpolate(pixels, (height, width), mode="bilinear", align_corners=False)
        torch.div(scaled[0].contiguous().div_(255).sub_(mean), std, out=image[:, :height, :width])
    back = [
        (frame.shape[1] / width, frame.shape[0] / height) for frame, (height, width) in zip(frames, sizes, strict=True)
    ]
    known = to_device(torch.tensor(sizes, dtype=torch.float32), device)
    return Batch(images, known, np.array(back, np.float32))


def scaled_hw(height: int, width: int, architecture: Architecture) -> tuple[int, int]:
    """Height and width of a frame in the network's input: at least 1, and as torchvision rounds them."""
    scale = min(architecture.short_px / min(height, width), architecture.long_px / max(height, width))
    return max(1, math.floor(height * scale)), max(1, math.floor(width * scale))


def _frame_to(device: torch.device, frame: NDArray[np.uint8]) -> Tensor:
    # One copy on the host, for torch takes no read-only frame; for a GPU straight into pinned memory.
    host = torch.empty(frame.shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.copyto(host.numpy(), frame)
    return host.to(device, non_blocking=True)
