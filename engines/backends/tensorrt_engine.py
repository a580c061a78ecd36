"""One part as a TensorRT engine: compiled, kept on disk, loaded and run.

An engine computes in fp16 or fp32, with fp32 going in and coming out. It is for one GPU, one size of picture and any
number of rows up to the most of its part.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from configs.errors import EngineError
from engines import cache_folder
from engines.backends import exported
from engines.backends.engine_cache import EngineCache, engine_key
from engines.backends.exported import exported_part
from engines.backends.fingerprint import code_hash, weights_hash
from engines.model.network import Network
from engines.model.parts import Run


class Maker(NamedTuple):
    """What engines are made of, and where they are kept."""

    network: Network
    """fp32, with its weights; it is left as it is."""
    device: torch.device
    """An NVIDIA GPU."""
    dtype: torch.dtype
    """What is computed in: float16 or float32."""
    cache: EngineCache
    """Where engines are kept; its `notes` tell which were refused."""


def engine_cache() -> EngineCache:
    """The engines kept on this machine.

    Raises:
        EngineError: their folder cannot be used.
    """
    try:
        return EngineCache(cache_folder.folder() / "engines")
    except OSError as error:
        raise EngineError(f"backend tensorrt cannot keep its engines: {error}") from error


def require_tensorrt(device: torch.device) -> tuple[ModuleType, ModuleType]:
    """The packages torch_tensorrt and tensorrt.

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


def load(maker: Maker, name: str, image_hw: tuple[int, int]) -> Run | None:
    """One part, ready to run; None if its engine has not been built. Only the part that takes pictures has a size.

    Raises:
        EngineError: TensorRT is not there or cannot load it.
    """
    _, tensorrt = require_tensorrt(maker.device)
    serialized = maker.cache.load(key(maker, name, image_hw))
    if serialized is None:
        return None
    with _told(name), torch.cuda.device(maker.device):  # an engine belongs to the GPU that is current
        return _load(tensorrt, serialized, maker.device)


def make(maker: Maker, name: str, image_hw: tuple[int, int]) -> None:
    """Make the engine of one part and keep it, unless it has been made. It takes minutes, and may crash the process.

    Raises:
        EngineError: TensorRT is not there or cannot build it.
    """
    torch_tensorrt, _ = require_tensorrt(maker.device)
    with _told(name), torch.cuda.device(maker.device):
        maker.cache.load_or_build(key(maker, name, image_hw), lambda: _compile(torch_tensorrt, maker, name, image_hw))


def key(maker: Maker, name: str, image_hw: tuple[int, int]) -> str:
    """Name of an engine in the cache: it changes with all that the engine depends on."""
    torch_tensorrt, tensorrt = require_tensorrt(maker.device)
    gpu = torch.cuda.get_device_properties(maker.device)
    driver = Path("/proc/driver/nvidia/version")
    part = maker.network.parts()[name]
    facts = {
        "part": name,
        "row": str(part.row_of(image_hw)),
        "rows": str(part.rows),
        "dtype": str(maker.dtype),
        "weights": weights_hash(maker.network),
        "code": code_hash((Path(__file__), Path(exported.__file__))),
        "torch": torch.__version__,
        "torch_tensorrt": torch_tensorrt.__version__,
        "tensorrt": tensorrt.__version__,
        "gpu": f"{gpu.name} {gpu.major}.{gpu.minor} {gpu.multi_processor_count} {gpu.total_memory}",
        "cuda": str(torch.version.cuda),
        "driver": driver.read_text() if driver.is_file() else "unknown",
    }
    return engine_key(facts)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except (RuntimeError, OSError, AssertionError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"backend tensorrt cannot make the engine of {name}: {reason}; use --backend eager"
        ) from error


def _compile(torch_tensorrt: ModuleType, maker: Maker, name: str, image_hw: tuple[int, int]) -> bytes:
    part = copy.deepcopy(maker.network).to(maker.device).parts()[name]
    program = exported_part(part, image_hw, maker.dtype)
    shape, rows = part.row_of(image_hw), part.rows
    given = torch_tensorrt.Input(
        min_shape=(1, *shape), opt_shape=(rows.usual, *shape), max_shape=(rows.most, *shape), dtype=torch.float32
    )
    # This one gives the engine itself, or an error where a single operator has no converter. What the others give is a
    # module around the engine that is unpickled to be loaded, and that copies what goes in and out.
    serialized: bytes = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
        program,
        arg_inputs=[given],
        device=maker.device,
        disable_tf32=maker.dtype == torch.float32,  # TensorRT's own default rounds fp32 to ten bits
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
