"""The parts as TensorRT runs them on an NVIDIA GPU: one engine each, in fp16, with fp32 going in and coming out.

Building an engine takes minutes, so it is kept on disk: `python -m engines.compile` builds ahead of the first run.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engines import cache_folder
from engines.backends import exported
from engines.backends.exported import ROWS, exported_part, exported_parts, row_shape
from engines.backends.parts import Parts
from engines.cache import EngineCache, engine_key
from engines.fingerprint import code_hash, weights_hash
from engines.model.keypoint_rcnn import Features, KeypointRCNN
from engines.weights import EngineError

__all__ = ["Maker", "build", "engine", "engine_cache", "exported_parts", "require_tensorrt", "tensorrt_parts"]

Run = Callable[[Tensor], list[Tensor]]
_HEADS = ("box_head", "keypoint_head")


class Maker(NamedTuple):
    """What engines are made of, and where they are kept."""

    network: KeypointRCNN
    device: torch.device
    dtype: torch.dtype
    cache: EngineCache


def build(network: KeypointRCNN, device: torch.device, dtype: torch.dtype = torch.float16) -> Parts:
    """Give a network's parts. Each size of picture has an engine of its own, made when the first such picture comes.

    Raises:
        EngineError: the device is no NVIDIA GPU, or TensorRT is not installed or cannot build an engine.
    """
    return tensorrt_parts(network, device, engine_cache(), dtype)


def usable(device: torch.device) -> bool:
    """Tell whether TensorRT is installed and the device is a GPU for it."""
    try:
        require_tensorrt(device)
    except EngineError:
        return False
    return True


def built(network: KeypointRCNN, device: torch.device, dtype: torch.dtype) -> bool:
    """Tell whether the engines of the heads are there already, so that `build` need not make anybody wait."""
    try:
        versions = _versions(*require_tensorrt(device))
        maker = Maker(network, device, dtype, engine_cache())
    except EngineError:
        return False
    keys = (engine_key(facts(maker, name, row_shape(network, name, (0, 0))) | versions) for name in _HEADS)
    return all(maker.cache.load(key) is not None for key in keys)


def engine_cache() -> EngineCache:
    """Give the engines that are kept on this machine.

    Raises:
        EngineError: their folder cannot be used.
    """
    try:
        return EngineCache(cache_folder.folder() / "engines")
    except OSError as error:
        raise EngineError(f"backend tensorrt cannot keep its engines: {error}") from error


def tensorrt_parts(
    network: KeypointRCNN, device: torch.device, cache: EngineCache, dtype: torch.dtype = torch.float16
) -> Parts:
    """Give a network's parts, with engines out of a cache, or made and kept there.

    Args:
        network: fp32, with its weights; it is left as it is.
        device: an NVIDIA GPU.
        cache: where engines are kept; its `notes` tell which were refused.
        dtype: what is computed in: float16 or float32.

    Raises:
        EngineError: as in `build`.
    """
    require_tensorrt(device)
    maker = Maker(network, device, dtype, cache)
    box_head = engine(maker, "box_head", (0, 0))
    keypoint_head = engine(maker, "keypoint_head", (0, 0))
    by_size: dict[tuple[int, int], Run] = {}

    def features(images: Tensor) -> Features:
        size = (images.shape[2], images.shape[3])
        if size not in by_size:
            by_size[size] = engine(maker, "features", size)
        return Features.of(in_groups(by_size[size], images, ROWS["features"].max))

    def boxes(cut_outs: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = in_groups(box_head, cut_outs, ROWS["box_head"].max)
        return logits, deltas

    return Parts(
        features, boxes, lambda cut_outs: in_groups(keypoint_head, cut_outs, ROWS["keypoint_head"].max)[0], device
    )


def require_tensorrt(device: torch.device) -> tuple[ModuleType, ModuleType]:
    """Give torch_tensorrt and tensorrt.

    Raises:
        EngineError: one of them is not installed, or the device is no GPU that is there.
    """
    there = torch.cuda.device_count()
    if device.type != "cuda" or (device.index or 0) >= there:
        raise EngineError(
            f"backend tensorrt needs an NVIDIA GPU, got device {device} where torch sees {there} GPUs: "
            "use another device or --backend auto"
        )
    try:
        return importlib.import_module("torch_tensorrt"), importlib.import_module("tensorrt")
    except (ImportError, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"backend tensorrt needs a package that cannot be imported ({reason}): pip install 'posestream[tensorrt]'"
        ) from error


def engine(maker: Maker, name: str, image_hw: tuple[int, int]) -> Run:
    """Give one part, ready to run: out of the cache, else made and kept there. Of the heads the size is not used.

    Raises:
        EngineError: TensorRT cannot build or load it.
    """
    torch_tensorrt, tensorrt = require_tensorrt(maker.device)
    shape = row_shape(maker.network, name, image_hw)
    key = engine_key(facts(maker, name, shape) | _versions(torch_tensorrt, tensorrt))
    try:
        serialized = maker.cache.load_or_build(key, lambda: _compile(torch_tensorrt, maker, name, shape))
        return _load(tensorrt, serialized, maker.device)
    except EngineError:
        raise
    except (RuntimeError, OSError, AssertionError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"backend tensorrt cannot make the engine of {name}: {reason}; use --backend eager"
        ) from error


def _versions(torch_tensorrt: ModuleType, tensorrt: ModuleType) -> dict[str, str]:
    return {"torch_tensorrt": torch_tensorrt.__version__, "tensorrt": tensorrt.__version__}


def facts(maker: Maker, name: str, shape: tuple[int, ...]) -> dict[str, str]:
    """Give all that an engine depends on, save the versions of TensorRT and its converter."""
    gpu = torch.cuda.get_device_properties(maker.device)
    driver = Path("/proc/driver/nvidia/version")
    return {
        "part": name,
        "row": str(shape),
        "rows": str(ROWS[name]),
        "dtype": str(maker.dtype),
        "weights": weights_hash(maker.network),
        "code": code_hash((Path(__file__), Path(exported.__file__))),
        "torch": torch.__version__,
        "gpu": f"{gpu.name} {gpu.major}.{gpu.minor} {gpu.multi_processor_count} {gpu.total_memory}",
        "cuda": str(torch.version.cuda),
        "driver": driver.read_text() if driver.is_file() else "unknown",
    }


def in_groups(run: Run, rows: Tensor, rows_max: int) -> list[Tensor]:
    """Run all rows, at most so many in one call; the first dimension of each result is that of `rows`."""
    if len(rows) <= rows_max:
        return run(rows)
    return [torch.cat(pieces) for pieces in zip(*(run(group) for group in rows.split(rows_max)), strict=True)]


def _compile(torch_tensorrt: ModuleType, maker: Maker, name: str, shape: tuple[int, ...]) -> bytes:
    network = copy.deepcopy(maker.network).to(maker.device)
    program = exported_part(network, name, (shape[1], shape[2]), maker.dtype)
    rows = ROWS[name]
    given = torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(rows.usual, *shape), max_shape=(rows.max, *shape), dtype=torch.float32
    )
    # This one gives the engine itself, or an error where a single operator has no converter. What the others give is a
    # module around the engine that is unpickled to be loaded, and that copies what goes in and out.
    serialized: bytes = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
        program,
        arg_inputs=[given],
        device=maker.device,
        require_full_compilation=True,
        min_block_size=1,
        timing_cache_path=str(maker.cache.folder / "timing"),  # the default is a file in a folder open to all
    )
    return bytes(serialized)


def _load(tensorrt: Any, serialized: bytes, device: torch.device) -> Run:
    # Both must outlive the context, so the function below holds them.
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    loaded = runtime.deserialize_cuda_engine(serialized)
    if loaded is None:
        raise RuntimeError("TensorRT cannot load it on this GPU")
    context = loaded.create_execution_context()
    names = [loaded.get_tensor_name(index) for index in range(loaded.num_io_tensors)]
    inputs = [name for name in names if loaded.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT]
    outputs = [f"output{index}" for index in range(len(names) - 1)]  # as torch_tensorrt names them, in order
    if len(inputs) != 1 or not set(outputs) <= set(names):
        raise RuntimeError(f"its tensors are {names}, not one input and output0, output1, ...")
    if any(loaded.get_tensor_dtype(name) != tensorrt.float32 for name in names):
        raise RuntimeError("what goes in or comes out is not float32")
    stream = torch.cuda.Stream(device)  # on the default one TensorRT would wait for the GPU in every call

    def run(x: Tensor, _held: tuple[Any, ...] = (runtime, loaded)) -> list[Tensor]:
        x = x.contiguous()
        context.set_input_shape(inputs[0], tuple(x.shape))
        context.set_tensor_address(inputs[0], x.data_ptr())
        found = [torch.empty(tuple(context.get_tensor_shape(name)), device=device) for name in outputs]
        for name, y in zip(outputs, found, strict=True):
            context.set_tensor_address(name, y.data_ptr())
        mine = torch.cuda.current_stream(device)
        stream.wait_stream(mine)
        with torch.cuda.device(device):
            done = context.execute_async_v3(stream.cuda_stream)
        mine.wait_stream(stream)
        if not done:
            raise EngineError(f"TensorRT could not run an engine on {tuple(x.shape)}")
        return found

    return run
