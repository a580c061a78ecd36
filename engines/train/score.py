"""How good a network in training is: OKS at true boxes, which is cheap, and keypoint AP of what it finds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.schema import EngineSettings, ModelName
from engines.evaluation import similarity
from engines.evaluation.precision import summary
from engines.ops.skeleton import Skeleton
from engines.pose_engine import PoseEngine
from engines.train import augment
from engines.train.batches import collated
from engines.train.bottom_up import TrainedBottomUp
from engines.train.network import TrainedKeypointRCNN
from engines.train.target import Sample, Target

F = NDArray[np.floating[Any]]

LABELLED_MIN = 6
"""People with fewer labelled keypoints say little, at most; skeletons of fewer keypoints need half of theirs."""
_STRIDE = 32


def oks_at_truth(
    network: TrainedKeypointRCNN | TrainedBottomUp, samples: Iterable[Sample], sides_px: tuple[int, int], sigmas: F
) -> dict[str, float]:
    """Mean OKS of the keypoints found in true boxes: of all people, and by their height as the network sees it.

    Args:
        network: what is scored, as it is.
        samples: pictures with labels.
        sides_px: short and long side that pictures are scaled to fit.
        sigmas: (K,) of OKS.

    Returns:
        By name: oks, oks_small (below 100 px), oks_medium, oks_large (from 160 px on); only where there is somebody.
    """
    network.eval()
    found: list[F] = [np.zeros(0)]
    heights: list[F] = [np.zeros(0)]
    device = next(network.parameters()).device
    for sample in samples:
        sample = _fitted(sample, *sides_px)
        known = min(LABELLED_MIN, -(-len(sigmas) // 2))
        target = sample.target.take(~sample.target.crowd & (sample.target.labelled >= known))
        if len(target):
            (xy,) = network.keypoints_at(collated([sample]).images.to(device), [target.boxes])
            found.append(_oks(xy, target, sigmas))
            heights.append(target.boxes[:, 3] - target.boxes[:, 1])
    oks, height = np.concatenate(found), np.concatenate(heights)
    rows = {
        "oks": height > 0,
        "oks_small": height < 100,
        "oks_medium": (height >= 100) & (height < 160),
        "oks_large": height >= 160,
    }
    return {name: float(oks[which].mean()) for name, which in rows.items() if which.any()}


def keypoint_ap(weights: Path, model: ModelName, short_px: int, samples: Iterable[Sample], skeleton: Skeleton) -> float:
    """Keypoint AP of the people that exported weights find in pictures."""
    settings = EngineSettings(model=model, weights=str(weights), backend="eager", imgsz=short_px)
    engine = PoseEngine(settings, skeleton)
    scored = [similarity.by_keypoints(engine([sample.pixels])[0], sample.target, skeleton.sigmas) for sample in samples]
    return summary(scored)["AP"]


def _oks(xy: F, target: Target, sigmas: F) -> F:
    """(N,) OKS of each person's keypoints (N, K, 2) with the labels."""
    squares = np.square(xy - target.keypoints).sum(-1)
    near = np.exp(-squares / (2 * target.areas_px2[:, None] * np.square(2 * sigmas)))
    seen = target.visibility > 0
    oks: F = (near * seen).sum(1) / seen.sum(1)
    return oks


def _fitted(sample: Sample, short_px: int, long_px: int) -> Sample:
    height, width = sample.target.size_hw
    scale = min(short_px / min(height, width), long_px / max(height, width))
    size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
    sample = augment.resized(sample, size_hw)
    whole = (-(-size_hw[0] // _STRIDE) * _STRIDE, -(-size_hw[1] // _STRIDE) * _STRIDE)
    return augment.cropped(sample, 0, 0, whole)
