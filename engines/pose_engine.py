"""Pictures in, people out: the one door to the network.

from engines.pose_engine import load

engine = load()                         # lite on a CPU, r50 on a GPU
for people in engine(frames):           # frames: (B, H, W, 3) uint8 RGB
    print(people.scores, people.keypoints)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from configs.errors import EngineError
from configs.schema import BackendName, EngineSettings, ModelName
from engines import cache_folder
from engines.backends import eager, tensorrt
from engines.backends.choose import choose
from engines.backends.crew import Crew
from engines.backends.prebuild import Prebuild
from engines.backends.task import Chosen, Task
from engines.backends.verify import report
from engines.device_memory import Fitting, device_errors
from engines.memory import keep_freed_memory
from engines.model.found import Finder, Found
from engines.model.inference import ProposalFinder
from engines.model.monte_carlo import MonteCarlo
from engines.model.network import Network
from engines.model.parts import Parts
from engines.modes import Plan, plan
from engines.ops.people import People
from engines.ops.skeleton import COCO, Skeleton
from engines.preprocess import Batch, to_input
from engines.weights.auto_model import auto_model
from engines.weights.load import load_model

Frames = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]


def load(
    model: ModelName = "auto",
    *,
    weights: str = "auto",
    device: str = "auto",
    backend: BackendName = "auto",
    precision: Literal["auto", "fp32", "fp16"] = "auto",
    mode: Literal["exact", "fast"] = "exact",
    imgsz: int | None = None,
    proposals: int | None = None,
    people_max: int | None = None,
    score_min: float | None = None,
    threads: int = 0,
    grouping: Literal["tags", "paf"] = "paf",
    uncertainty: Literal["none", "mc"] = "none",
) -> PoseEngine:
    """An engine, ready to find people; each setting is described in `configs.schema.EngineSettings`.

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
            precision=precision,
            mode=mode,
            imgsz=imgsz,
            proposals=proposals,
            people_max=people_max,
            score_min=score_min,
            threads=threads,
            grouping=grouping,
            uncertainty=uncertainty,
        )
    )


class PoseEngine:
    """One network, ready to find people. Not for several threads at once."""

    def __init__(self, settings: EngineSettings, skeleton: Skeleton = COCO) -> None:
        """Load the network.

        Args:
            settings: which network, and how it is run.
            skeleton: what the network's heat maps are of.

        Raises:
            EngineError: that cannot be done, or the network finds another number of keypoints.
        """
        keep_freed_memory()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._device = _device(settings.device)
        self.notes: list[str] = []
        """Lines to be shown: what was chosen and why, and what could not be used."""
        self._fitting = Fitting(self.notes)
        self._prebuild: Prebuild | None = None
        with device_errors(f"no memory to load model {settings.model}: use a smaller --model, or another --device"):
            model, network = self._network(settings)
            if network.architecture.keypoints != skeleton.size:
                raise EngineError(
                    f"model {model} finds {network.architecture.keypoints} keypoints and skeleton.names has "
                    f"{skeleton.size}: name those of the model"
                )
            wanted = plan(settings, network.architecture, self._device.type)
            self.architecture, self._exact = wanted.architecture, wanted.exact
            parts = self._build(settings, model, network, wanted)
        self._whole = wanted.architecture
        self._finder = _unsure(network.finder(parts, wanted.architecture, wanted.limits, wanted.exact), settings, model)
        self._crew = Crew(parts.side_by_side) if parts.side_by_side else None
        self.dropped = 0
        """People dropped so far because the network gave no finite heat maps for them."""

    @property
    def batch_best(self) -> int:
        """How many frames one call should be given, where so many wait.

        One on a CPU: side by side `lite` is quicker, but a frame's last digits then depend on whether it came alone.
        """
        return 8 if self._device.type == "cuda" else 1

    def __call__(self, frames: Frames, seeds: Sequence[int] = ()) -> list[People]:
        """The people of each frame, in pixels of that frame.

        Args:
            frames: (B, H, W, 3) uint8 RGB, or a list of (H, W, 3) of any sizes.
            seeds: of each frame, where uncertainty is asked for: the same seed, the same spread; none: 0, 1, 2, …

        Raises:
            ValueError: the frames are of another shape or type.
            EngineError: there is not enough memory for them, or the device failed.
        """
        for index, frame in enumerate(frames):
            _check(index, frame)
        if not len(frames):
            return []
        found = self._fitting.call(self._found, list(zip(frames, seeds or range(len(frames)), strict=True)))
        self.dropped += sum(dropped for _, dropped in found)
        return [people for people, _ in found]

    def _found(self, seeded: Sequence[tuple[NDArray[np.uint8], int]]) -> list[tuple[People, int]]:
        with device_errors(
            f"no memory for {len(seeded)} frames at once: use a smaller --imgsz, or --set infer.batch_max=1"
        ):
            if self._crew and len(seeded) > 1:
                return [one for some in self._crew.map(self._find_one, seeded) for one in some]
            return self._find(self._finder, [frame for frame, _ in seeded], [seed for _, seed in seeded])

    def scale_input(self, factor: float) -> None:
        """Scale frames to this share of the usual sides from now on; a side has 64 pixels at least."""
        short_px = max(64, round(self._whole.short_px * factor))
        long_px = round(self._whole.long_px * short_px / self._whole.short_px)
        self.architecture = replace(self._whole, short_px=short_px, long_px=long_px)
        self._finder = replace(self._finder, architecture=self.architecture)

    def _find_one(self, parts: Parts, one: tuple[NDArray[np.uint8], int]) -> list[tuple[People, int]]:
        frame, seed = one
        return self._find(replace(self._finder, parts=parts), [frame], [seed])

    def _find(self, finder: Finder, frames: Frames, seeds: Sequence[int]) -> list[tuple[People, int]]:
        """The people of each frame, and how many were dropped, all of which are counted at the first frame."""
        with torch.inference_mode(), finder.parts.glue():
            batch = to_input(list(frames), self.architecture, self._device, self._exact)
            if self._prebuild:
                self._prebuild.want((batch.images.shape[2], batch.images.shape[3]))
            found = finder.find(batch.images, batch.sizes, seeds)
        dropped = [found.dropped, *[0] * (len(frames) - 1)]
        return [(_people(found, batch, index), dropped[index]) for index in range(len(frames))]

    def _network(self, settings: EngineSettings) -> tuple[str, Network]:
        if settings.model != "auto":
            return settings.model, load_model(settings.model, settings.weights)
        name, network, notes = auto_model(settings.weights, self._device.type)
        self.notes += notes
        return name, network

    def _build(self, settings: EngineSettings, model: str, network: Network, wanted: Plan) -> Parts:
        fp16 = settings.precision != "fp32" and self._device.type == "cuda"
        if settings.precision == "fp16" and not fp16:
            raise EngineError("precision fp16 needs an NVIDIA GPU: use --precision fp32 or auto on a CPU")
        if settings.precision == "fp16" and settings.backend == "inductor":
            raise EngineError("backend inductor computes in fp32: use --precision auto, or another --backend")
        task = Task(network, wanted.architecture, self._device, fp16, wanted.int8)
        task = task._replace(prebuild=self._builder(settings, model, task))
        chosen = choose(settings.backend, task)
        self.notes += chosen.notes
        if settings.verify:
            self._verify(chosen, task)
        return chosen.parts

    def _builder(self, settings: EngineSettings, model: str, task: Task) -> Prebuild | None:
        """Background builder of TensorRT engines; None where TensorRT is unavailable or excluded.

        With --backend tensorrt this waits until there are engines for HD video. Other runs get them the next time.
        """
        if settings.backend not in ("auto", "tensorrt") or not tensorrt.usable(self._device):
            return None
        arguments = ["--model", model, "--weights", settings.weights, "--device", f"cuda:{self._device.index or 0}"]
        arguments += ["--precision", "fp16" if task.fp16 else "fp32"]
        prebuild = Prebuild("engines.compile", arguments, cache_folder.folder() / "compile.log")
        obstacle = tensorrt.obstacle(task.network, self._device, task.dtype)
        if obstacle and settings.backend == "tensorrt":
            prebuild.now(task.usual_hw)
        elif obstacle:
            self._prebuild = prebuild
            self.notes.append(f"TensorRT's engines are built meanwhile, for the next run: {obstacle}")
        return prebuild

    def _verify(self, chosen: Chosen, task: Task) -> None:
        reference = eager.build(copy.deepcopy(task.network), self._device)
        parity = report(chosen.parts, reference, task.network, task.architecture)
        self.notes += [f"backend {chosen.backend} beside eager fp32:", *parity.lines()]
        if not parity.ok:
            raise EngineError(f"backend {chosen.backend} is {parity.problem()}; use --backend eager")


def _unsure(finder: Finder, settings: EngineSettings, model: str) -> Finder:
    """The finder, made to say how sure it is of keypoints if the settings want that."""
    if settings.uncertainty == "none":
        return finder
    if not isinstance(finder, ProposalFinder):
        raise EngineError(f"model {model} has no keypoint head: --uncertainty {settings.uncertainty} needs another")
    return replace(finder, monte_carlo=MonteCarlo(settings.mc_passes, settings.mc_dropout))


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if "," in name:
        raise EngineError(f"device {name}: one engine computes on one device; the pipeline makes one for each")
    device = torch.device(name)
    if device.type == "cuda" and not (there and (device.index or 0) < torch.cuda.device_count()):
        raise EngineError(f"device {name} is not there: torch sees {torch.cuda.device_count()} GPUs; use --device cpu")
    return device


def _check(index: int, frame: NDArray[np.uint8]) -> None:
    shape, dtype = np.shape(frame), getattr(frame, "dtype", type(frame).__name__)
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f"frame {index} is {shape} {dtype}; expected (height, width, 3) uint8, RGB")


def _people(found: Found, batch: Batch, index: int) -> People:
    mine = found.image.numpy() == index
    scale = batch.to_source[index]
    return People(
        boxes=found.boxes.numpy()[mine] * np.concatenate((scale, scale)),
        scores=found.scores.numpy()[mine],
        keypoints=found.keypoints.numpy()[mine] * scale,
        confidence=found.confidence.numpy()[mine],
        logits=found.logits.numpy()[mine],
        spread_px=None if found.spread is None else found.spread.numpy()[mine] * scale,
    )
