"""The parts as OpenVINO runs them on a CPU, in fp32, or in 8 bits where `engines.quantize` has prepared them.

Turning a network into OpenVINO's form takes seconds, so the result is kept in the cache folder, under a name that
changes with the weights, the network's code and the versions.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Collection
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from engines import cache_folder
from engines.backends.parts import Parts, SideBySide
from engines.fingerprint import code_hash, weights_hash
from engines.model.keypoint_rcnn import (
    BOX_CELLS,
    KEYPOINT_CELLS,
    BoxHeadPart,
    Features,
    FeaturesPart,
    KeypointHeadPart,
    KeypointRCNN,
)
from engines.weights import ASSETS, EngineError

PARTS: Final = ("features", "box_head", "keypoint_head")
_SIDE_BY_SIDE_MAX = 4
_SMALL = 16_000_000
"""Numbers in the weights of a network that leaves cores idle when all of them work on one picture: `lite`, not r50."""


class Compiled:
    """One part as OpenVINO runs it; may be called from several threads."""

    def __init__(self, model: Any) -> None:
        """Take OpenVINO's own handle on it."""
        self.model = model
        self._own = threading.local()
        """A request for each thread: it holds what one call computes."""

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Give the part's tensors without their nesting."""
        # Read in place; if that cannot be, copied by numpy: torch's threads would still be spinning when OpenVINO's
        # begin. Results are copied: their memory is overwritten by the next call.
        if not hasattr(self._own, "request"):
            self._own.request = self.model.create_infer_request()
        results = self._own.request.infer([np.ascontiguousarray(x.numpy())], share_inputs=True, share_outputs=False)
        return [torch.from_numpy(result) for result in results.to_tuple()]


def build(network: KeypointRCNN, device: torch.device, int8: Collection[str] = ()) -> Parts:
    """Give a network's parts, run by as many threads as torch is set to.

    Args:
        network: the network.
        device: a CPU.
        int8: names of the parts that are to be computed in 8 bits where they are prepared.

    Raises:
        EngineError: the device is no CPU, or OpenVINO is not installed or cannot run the network.
    """
    if device.type != "cpu":
        raise EngineError(f"backend openvino runs on a CPU, not on {device}: use --device cpu or another backend")
    at_once = min(_SIDE_BY_SIDE_MAX, torch.get_num_threads())
    small = sum(weights.numel() for weights in network.parameters()) < _SMALL
    beside = SideBySide(at_once, lambda: _parts(network, device, int8, at_once)) if small and at_once > 1 else None
    return replace(_parts(network, device, int8, streams=1), side_by_side=beside)


def _parts(network: KeypointRCNN, device: torch.device, int8: Collection[str], streams: int) -> Parts:
    features, box_head, keypoint_head = compile_parts(network, int8, streams)
    return Parts(
        lambda images: Features.of([x.permute(0, 3, 1, 2) for x in features(given(images))]),
        lambda cut_outs: _two(box_head(given(cut_outs))),
        lambda cut_outs: keypoint_head(given(cut_outs))[0],
        device,
        # torch's threads spin for milliseconds after each of its calls, on the cores that OpenVINO's need next.
        # Measured on two cores: with two of torch's 61 ms a picture, with one 50.
        glue_threads=1,
    )


def compile_parts(network: KeypointRCNN, int8: Collection[str] = (), streams: int = 1) -> list[Compiled]:
    """Give features, box head and keypoint head.

    Args:
        network: the network.
        int8: as in `build`.
        streams: how many calls share the threads that torch is set to; so many may be made at once.

    Raises:
        EngineError: OpenVINO is not installed or cannot run the network.
    """
    openvino = _import()
    try:
        parts = zip(PARTS, converted(network), strict=True)
        prepared = {name: _prepared(openvino, network, name) for name in int8}
        return [_compile(openvino, prepared.get(name) or part, streams) for name, part in parts]
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(f"backend openvino cannot run this network: {reason}; use --backend eager") from error


def given(x: Tensor) -> Tensor:
    """Lay out what a part is given, (rows, channels, h, w), as its form of OpenVINO wants it: channels last."""
    return x.permute(0, 2, 3, 1)


def prepared_file(network: KeypointRCNN, part: str) -> Path | None:
    """Give the file of a part in 8 bits, or None where there is none for these weights."""
    name = prepared_name(network, part)
    return next((path for path in (ASSETS / name, prepared_folder() / name) if path.is_file()), None)


def prepared_folder() -> Path:
    """Give the folder for parts in 8 bits that do not come with the project."""
    return cache_folder.folder() / "int8-nhwc"


def prepared_name(network: KeypointRCNN, part: str) -> str:
    """Give the file name of a part in 8 bits; it changes with the weights."""
    return f"{part}-{weights_hash(network)[:16]}.xml"


def save(model: Any, path: Path) -> None:
    """Write OpenVINO's two files, .xml and .bin, as they are.

    Raises:
        RuntimeError: they cannot be written.
    """
    _import().save_model(model, path, compress_to_fp16=False)


def _prepared(openvino: ModuleType, network: KeypointRCNN, part: str) -> Any | None:
    path = prepared_file(network, part)
    return openvino.Core().read_model(path) if path else None


def _import() -> ModuleType:
    # OpenVINO reports its use to its maker when it is imported, unless it finds this package missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise EngineError(
            "backend openvino needs a package that cannot be imported: pip install openvino, or use --backend eager"
        ) from error


def _compile(openvino: ModuleType, part: Any, streams: int) -> Compiled:
    settings = {
        **({"PERFORMANCE_HINT": "LATENCY"} if streams == 1 else {"NUM_STREAMS": streams}),
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        # The other stages want these cores too: a thread tied to a busy core waits while another is free.
        "ENABLE_CPU_PINNING": False,
    }
    return Compiled(openvino.Core().compile_model(part, "CPU", settings))


def _two(flat: list[Tensor]) -> tuple[Tensor, Tensor]:
    logits, deltas = flat
    return logits, deltas


def converted(network: KeypointRCNN) -> list[Any]:
    """Give the parts in OpenVINO's form, in the order of `PARTS`: out of the cache, else made and kept there.

    Raises:
        EngineError: OpenVINO is not installed.
        RuntimeError: it cannot take the network.
    """
    openvino = _import()
    kept = cache_folder.folder() / "openvino" / _key(network)
    if kept.is_dir():
        try:
            return [openvino.Core().read_model(kept / f"{name}.xml") for name in PARTS]
        except RuntimeError:
            shutil.rmtree(kept, ignore_errors=True)  # damaged: it is made again
    made = _convert(openvino, network)
    with contextlib.suppress(OSError, RuntimeError):  # not kept: that costs seconds at the next start, nothing else
        _keep(openvino, made, kept)
    return made


class _ChannelsLast(nn.Module):
    """A part that takes, and gives as features, channels last: so OpenVINO computes, and so cells are cut out."""

    def __init__(self, part: FeaturesPart | KeypointHeadPart) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Any:
        seen = self.part(x.permute(0, 3, 1, 2))
        if isinstance(seen, Tensor):
            return seen
        return tuple(tuple(each.permute(0, 2, 3, 1) for each in some) for some in seen)


def _box_head(network: KeypointRCNN) -> BoxHeadPart:
    """Give a box head that takes channels last: its first layer is turned around, once, instead of all cut-outs."""
    part = copy.deepcopy(BoxHeadPart(network))
    first = part.head.fc6
    turned = first.weight.detach().unflatten(1, (-1, BOX_CELLS, BOX_CELLS)).permute(0, 2, 3, 1).flatten(1)
    first.weight = nn.Parameter(turned)
    return part


def _convert(openvino: ModuleType, network: KeypointRCNN) -> list[Any]:
    channels = network.rpn.head.cls_logits.in_channels
    parts: tuple[tuple[nn.Module, tuple[int, ...]], ...] = (
        (_ChannelsLast(FeaturesPart(network)), (-1, -1, 3)),
        (_box_head(network), (BOX_CELLS, BOX_CELLS, channels)),
        (_ChannelsLast(KeypointHeadPart(network)), (KEYPOINT_CELLS, KEYPOINT_CELLS, channels)),
    )
    converted = []
    for part, shape in parts:
        example = torch.zeros(2, *(64 if side == -1 else side for side in shape))
        with warnings.catch_warnings(), torch.no_grad():
            # torch.export, which torch would rather have used, takes twice as long to the same result.
            warnings.simplefilter("ignore", DeprecationWarning)
            traced = torch.jit.trace(part.eval(), example, check_trace=False)
            converted.append(openvino.convert_model(traced, input=openvino.PartialShape([-1, *shape])))
    return converted


def _keep(openvino: ModuleType, parts: list[Any], folder: Path) -> None:
    """All or nothing: processes that start together each write their own, and the first to be done stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        for name, part in zip(PARTS, parts, strict=True):
            openvino.save_model(part, scratch / f"{name}.xml", compress_to_fp16=False)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _key(network: KeypointRCNN) -> str:
    what = (torch.__version__, version("openvino"), code_hash([Path(__file__)]), weights_hash(network))
    return hashlib.sha256("\n".join(what).encode()).hexdigest()[:32]
