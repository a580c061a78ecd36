"""Pictures in, people out: the one door to the network.

from engines.pose_engine import load

engine = load("lite")
for people in engine(frames):           # frames: (B, H, W, 3) uint8 RGB
    print(people.scores, people.keypoints)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from configs.schema import EngineSettings
from engines.backends.choose import choose
from engines.backends.parts import Parts
from engines.model.inference import Finder, Found
from engines.model.roi import Limits
from engines.ops.people import People
from engines.preprocess import Batch, to_input
from engines.weights import ARCHITECTURES, EngineError, load_model


def load(
    model: Literal["lite", "r50"] = "lite",
    *,
    weights: str = "auto",
    device: str = "auto",
    backend: Literal["auto", "eager", "openvino", "inductor", "tensorrt"] = "auto",
    mode: Literal["exact", "fast"] = "exact",
    score_min: float = 0.05,
    people_max: int | None = None,
    threads: int = 0,
) -> PoseEngine:
    """Give an engine; each setting is described in `configs.schema.EngineSettings`.

    Raises:
        ValueError: a setting is out of its range.
        EngineError: the network cannot be loaded.
    """
    return PoseEngine(
        EngineSettings(
            model=model,
            weights=weights,
            device=device,
            backend=backend,
            mode=mode,
            score_min=score_min,
            people_max=people_max,
            threads=threads,
        )
    )


class PoseEngine:
    """One network, ready to find people. Not for several threads at once."""

    def __init__(self, settings: EngineSettings) -> None:
        """Load the network.

        Raises:
            EngineError: that cannot be done.
        """
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.architecture = ARCHITECTURES[settings.model]
        self._device = _device(settings.device)
        people_max = settings.people_max or self.architecture.people_max
        self._finder = Finder(self._build(settings), self.architecture, Limits(settings.score_min, people_max))
        self.unsound = 0
        """People dropped so far because the network gave no finite heat maps for them."""

    @property
    def device_type(self) -> str:
        """Where it computes: "cpu" or "cuda"."""
        return self._device.type

    def __call__(self, frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> list[People]:
        """Give the people of each frame, in pixels of that frame.

        Args:
            frames: (B, H, W, 3) uint8 RGB, or a list of (H, W, 3) of any sizes.

        Raises:
            ValueError: the frames are of another shape or type.
        """
        for index, frame in enumerate(frames):
            _check(index, frame)
        if not len(frames):
            return []
        with torch.inference_mode():
            batch = to_input(list(frames), self.architecture, self._device)
            found = self._finder.find(batch.images, batch.sizes)
        self.unsound += found.unsound
        return [_people(found, batch, index) for index in range(len(frames))]

    def _build(self, settings: EngineSettings) -> Parts:
        if settings.mode != "exact":
            raise EngineError(f"mode {settings.mode} is not in this version: use --mode exact")
        network = load_model(settings.model, settings.weights)
        backend = "eager" if settings.backend == "auto" else settings.backend
        return choose(backend, network, self.architecture, self._device).parts


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not (there and (device.index or 0) < torch.cuda.device_count()):
        raise EngineError(f"device {name} is not there: torch sees {torch.cuda.device_count()} GPUs; use --device cpu")
    return device


def _check(index: int, frame: NDArray[np.uint8]) -> None:
    shape, dtype = np.shape(frame), getattr(frame, "dtype", type(frame).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"frame {index} is {shape} {dtype}; expected (height, width, 3) uint8, RGB")


def _people(found: Found, batch: Batch, index: int) -> People:
    mine = found.image == index
    scale = batch.to_source[index]
    return People(
        boxes=found.boxes[mine].numpy() * np.tile(scale, 2),
        scores=found.scores[mine].numpy(),
        keypoints=found.keypoints[mine].numpy() * scale,
        confidence=found.confidence[mine].numpy(),
        logits=found.logits[mine].numpy(),
    )
